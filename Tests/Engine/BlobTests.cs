using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public class BlobTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 100)]
    [InlineData(255, 3)]
    [InlineData(256, 3)]
    [InlineData(70_000, 5)]
    public void Holds_key_payload_expiry_clock_and_kind_apart(int keyLength, int payloadLength)
    {
        byte[] key = new byte[keyLength], payload = new byte[payloadLength], otherKey = new byte[keyLength == 255 ? 300 : 3];
        Random random = TestSeed.Random(keyLength);
        random.NextBytes(key);
        random.NextBytes(payload);
        byte[] blob = Blob.Create(BlobKind.String, key, payload, long.MaxValue);
        Blob.SetAccessClock(blob, 0xabcdef);
        Check(blob, BlobKind.String, key, payload, long.MaxValue);

        byte[] expiring = Blob.WithExpiry(blob, 1_234_567_890_123);
        Check(expiring, BlobKind.String, key, payload, 1_234_567_890_123);
        Assert.Same(expiring, Blob.WithExpiry(expiring, 5));
        Check(expiring, BlobKind.String, key, payload, 5);
        Check(Blob.WithKey(expiring, otherKey), BlobKind.String, otherKey, payload, 5);
        Check(Blob.WithPayload(expiring, BlobKind.SetListpack, [1, 2, 3]), BlobKind.SetListpack, key, [1, 2, 3], 5);
        Check(Blob.WithExpiry(expiring, long.MaxValue), BlobKind.String, key, payload, long.MaxValue);
        Assert.Same(blob, Blob.WithExpiry(blob, long.MaxValue));
        Blob.SetKind(blob, BlobKind.RawString);
        Check(blob, BlobKind.RawString, key, payload, long.MaxValue);
    }

    [Fact]
    public void The_usual_key_takes_less_than_95_bytes()
    {
        byte[] blob = Blob.Create(BlobKind.String, new byte[16], new byte[32], long.MaxValue);
        Assert.InRange(Blob.AllocatedBytes(blob.Length) + 12, 0, 95);
    }

    private static void Check(byte[] blob, BlobKind kind, byte[] key, byte[] payload, long expiresAtMs)
    {
        Assert.Equal(kind, Blob.KindOf(blob));
        Assert.Equal(key, Blob.KeyOf(blob).ToArray());
        Assert.Equal(payload, Blob.Payload(blob).ToArray());
        Assert.Equal(expiresAtMs, Blob.ExpiresAtMs(blob));
        Assert.Equal(0xabcdefu, Blob.AccessClock(blob));
    }
}
