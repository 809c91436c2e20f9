using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.Packed;

public class IntsetTests
{
    [Fact]
    public void Random_changes_leave_it_equal_to_a_sorted_set()
    {
        Gen<long> numbers = Gen.Frequency(
            (5, Gen.Choose(-50, 50).Select(number => (long)number)),
            (3, from bits in Gen.Choose(1, 63) from sign in Gen.Choose(0, 1) from off in Gen.Choose(-1, 1) select ((sign == 0 ? 1 : -1) * (1L << bits)) + off));
        Gen<(bool Add, long Number)> change = from what in Gen.Choose(0, 2) from number in numbers select (what != 0, number);
        Prop.ForAll(change.ListOf().Resize(300).ToArbitrary(), changes =>
        {
            var model = new SortedSet<long>();
            var blob = Blob.Create(BlobKind.SetIntset, "key"u8, Intset.HeaderLength, Expiry.Never);
            Intset intset = Intset.In(blob);
            intset.Clear();
            foreach ((bool add, long number) in changes)
            {
                if (add) Assert.Equal(model.Add(number), intset.Add(number));
                else Assert.Equal(model.Remove(number), intset.Remove(number));
                Assert.Equal(model.Contains(number), intset.Contains(number));
                Assert.Equal(model.Count, intset.Count);
                int at = 0;
                foreach (long expected in model) Assert.Equal(expected, intset[at++]);
                Assert.Equal(model.Count > 0, Intset.IsValid(intset.Bytes));
            }
        }).Check();
    }

    [Fact]
    public void Its_bytes_are_those_of_redis()
    {
        Assert.Equal("02000000030000000100020003" + "00", Convert.ToHexString(Of(3, 1, 2).Bytes));
        Assert.Equal("040000000300000001000000020000000000010" + "0", Convert.ToHexString(Of(65536, 1, 2).Bytes));
        Assert.Equal("080000000200000000000000000000800100000000000000", Convert.ToHexString(Of(1, long.MinValue).Bytes));
    }

    [Fact]
    public void Unsorted_or_torn_bytes_are_refused()
    {
        Assert.False(Intset.IsValid(Convert.FromHexString("0200000002000000" + "02000100")));
        Assert.False(Intset.IsValid(Convert.FromHexString("0200000002000000" + "01000100")));
        Assert.False(Intset.IsValid(Convert.FromHexString("0200000003000000" + "01000200")));
        Assert.False(Intset.IsValid(Convert.FromHexString("0300000001000000" + "010000")));
    }

    private static unsafe Intset Of(params long[] numbers)
    {
        var intset = new Intset(Heap.Allocate(Intset.HeaderLength), 0);
        intset.Clear();
        foreach (long number in numbers) intset.Add(number);
        return intset;
    }
}
