using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public class KeySlotTests
{
    /// <summary>The slots that redis-server's CLUSTER KEYSLOT gives.</summary>
    [Theory]
    [InlineData("123456789", 12739)]
    [InlineData("foo", 12182)]
    [InlineData("bar", 5061)]
    [InlineData("", 0)]
    [InlineData("{user1000}.following", 3443)]
    [InlineData("foo{}{bar}", 8363)]
    [InlineData("foo{{bar}}zap", 4015)]
    [InlineData("foo{bar}{zap}", 5061)]
    [InlineData("{", 4092)]
    [InlineData("}", 12090)]
    [InlineData("{}", 15257)]
    [InlineData("a{b", 13340)]
    [InlineData("x}{y}", 12222)]
    [InlineData("longer than eight bytes by far", 14780)]
    [InlineData("somekey:000000000012", 7417)]
    [InlineData("{a}b{c}", 15495)]
    public void A_key_is_in_the_slot_that_Redis_puts_it_in(string key, int slot) => Assert.Equal(slot, KeySlot.Of(Encoding.ASCII.GetBytes(key)));

    [Fact]
    public void Crc16_eight_bytes_a_step_is_Crc16_bit_by_bit()
    {
        var random = TestSeed.Random();
        for (int length = 0; length < 100; length++)
        {
            byte[] data = new byte[length];
            random.NextBytes(data);
            uint crc = 0;
            foreach (byte b in data)
            {
                crc ^= (uint)b << 8;
                for (int bit = 0; bit < 8; bit++) crc = (crc & 0x8000) != 0 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1;
            }
            Assert.Equal((ushort)crc, KeySlot.Crc16(data));
        }
    }

    [Fact]
    public void Hashes_depend_on_every_byte_and_on_the_length_and_spread()
    {
        var hashes = new HashSet<uint>();
        byte[] key = new byte[40];
        for (int length = 0; length <= key.Length; length++)
        {
            Assert.True(hashes.Add(KeyHash.Of(key.AsSpan(0, length))), $"{length} zeros");
            for (int i = 0; i < length; i++)
            {
                key[i] = 1;
                Assert.True(hashes.Add(KeyHash.Of(key.AsSpan(0, length))), $"byte {i} of {length}");
                key[i] = 0;
            }
        }
        int[] buckets = new int[64];
        for (int i = 0; i < 64_000; i++) buckets[KeyHash.Of(Encoding.ASCII.GetBytes($"key:{i:d12}")) >> 26]++;
        Assert.All(buckets, count => Assert.InRange(count, 800, 1200));
    }
}
