using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public unsafe class BlobTests
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
        Blob blob = Text(BlobKind.String, key, payload);
        blob.SetAccessClock(0xabcdef);
        Check(blob, BlobKind.String, key, payload, long.MaxValue);

        Blob expiring = blob.WithExpiry(1_234_567_890_123);
        Check(expiring, BlobKind.String, key, payload, 1_234_567_890_123);
        Assert.True(expiring.Block == expiring.WithExpiry(5).Block);
        Check(expiring, BlobKind.String, key, payload, 5);
        Check(expiring.WithKey(otherKey), BlobKind.String, otherKey, payload, 5);
        Blob room = expiring.WithRoom(BlobKind.SetListpack, Listpack.EmptyLength);
        Listpack.In(room).Clear();
        Assert.Equal((BlobKind.SetListpack, 5L, 0xabcdefu), (room.Kind, room.ExpiresAtMs, room.AccessClock));
        Assert.Equal(key, room.Key);
        Assert.Equal(room.PayloadStart + Listpack.EmptyLength, room.Content.Length);
        Blob lasting = expiring.WithExpiry(long.MaxValue);
        Check(lasting, BlobKind.String, key, payload, long.MaxValue);
        Assert.True(lasting.Block == lasting.WithExpiry(long.MaxValue).Block);
        lasting.SetKind(BlobKind.RawString);
        Check(lasting, BlobKind.RawString, key, payload, long.MaxValue);
        // A copy of its content can be read where it lies, as snapshots do.
        fixed (byte* copy = lasting.Content.ToArray()) Check(new(copy), BlobKind.RawString, key, payload, long.MaxValue);
    }

    [Fact]
    public void The_usual_key_takes_less_than_70_bytes()
    {
        Assert.InRange(Text(BlobKind.String, new byte[16], new byte[32]).AllocatedBytes - HeapChecks.Overhead + 12, 0, 70);
    }

    [Fact]
    public void An_integer_is_held_as_such()
    {
        var blob = Blob.CreateInteger("key"u8, long.MinValue, 7);
        Assert.Equal((BlobKind.Integer, long.MinValue, 7L), (blob.Kind, blob.Integer, blob.ExpiresAtMs));
        blob.SetInteger(12);
        Assert.Equal((12L, "key"), (blob.Integer, System.Text.Encoding.ASCII.GetString(blob.Key)));
    }

    private static Blob Text(BlobKind kind, byte[] key, byte[] text)
    {
        var blob = Blob.CreateText(kind, key, text.Length, long.MaxValue, out Span<byte> room);
        text.CopyTo(room);
        return blob;
    }

    private static void Check(Blob blob, BlobKind kind, byte[] key, byte[] payload, long expiresAtMs)
    {
        Assert.Equal(kind, blob.Kind);
        Assert.Equal(key, blob.Key.ToArray());
        Assert.Equal(payload, blob.Text.ToArray());
        Assert.Equal(expiresAtMs, blob.ExpiresAtMs);
        Assert.Equal(0xabcdefu, blob.AccessClock);
    }
}
