using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.Packed;

public class ListpackTests
{
    /// <summary>
    /// What <c>RPUSH k a hello 1 127 128 -1 -4096 4095 4096 -32768 32768 8388607 8388608 -2147483648 2147483648 ""
    /// 0</c> put into redis-server 7.0.15's DUMP, inside the quicklist node.
    /// </summary>
    private const string FromRedis =
        "4D00000011008161028568656C6C6F0601017F01C08002DFFF02D00002CFFF02F1001003F10080"
        + "03F200800004F2FFFF7F04F30000800005F30000008005F400000080000000000980010001FF";

    [Fact]
    public void Random_changes_leave_it_equal_to_a_list()
    {
        Gen<(int What, int At, string Text)> change =
            from what in Gen.Choose(0, 12)
            from at in Gen.Choose(-5, 400)
            from text in Texts()
            select (what, at, text);
        Prop.ForAll(change.ListOf().Resize(300).ToArbitrary(), changes =>
        {
            var model = new List<string>();
            var blob = Blob.Create(BlobKind.ListListpack, "key"u8, Listpack.EmptyLength, Expiry.Never);
            Listpack listpack = Listpack.In(blob);
            listpack.Clear();
            for (int i = 0; i < changes.Count; i++)
            {
                (int what, int at, string text) = changes[i];
                Apply(ref listpack, model, what, at, text);
                Assert.Equal(model.Count, listpack.Count);
                Assert.Equal("key", Encoding.Latin1.GetString(listpack.Blob.Key));
                // Checking everything after every change would be quadratic, so only every sixteenth change is checked,
                // and the last.
                if (i % 16 == 0) Same(listpack, model);
            }
            Same(listpack, model);
        }).Check();
    }

    private static Gen<string> Texts() => Gen.Frequency(
        (4, Gen.Choose(-200, 200).Select(number => number.ToString())),
        (3,
            from bits in Gen.Choose(1, 63)
            from sign in Gen.Choose(0, 1)
            from off in Gen.Choose(-1, 1)
            select (((sign == 0 ? 1 : -1) * (1L << bits)) + off).ToString()),
        (1, Gen.Elements("", "-0", "00", "01", "+1", "-", long.MinValue.ToString(), long.MaxValue.ToString(), "9223372036854775808", "1.5")),
        (3, Gen.Choose(0, 300).Select(length => new string('x', length))),
        (1, Gen.Elements(62, 63, 64, 124, 125, 126, 127, 4094, 4095, 4096, 16370, 16378, 16379, 16380, 70000).Select(length => new string('y', length))));

    private static void Apply(ref Listpack listpack, List<string> model, int what, int at, string text)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(text);
        int index = model.Count == 0 ? 0 : Math.Abs(at) % model.Count;
        switch (what)
        {
            case 0 or 1 or 2:
                listpack.Append(bytes);
                model.Add(text);
                break;
            case 3:
                listpack.Prepend(bytes);
                model.Insert(0, text);
                break;
            case 4 or 5 when model.Count > 0:
                listpack.Insert(listpack.Seek(index), bytes);
                model.Insert(index, text);
                break;
            case 6 when model.Count > 0:
                listpack.Replace(listpack.Seek(index), bytes);
                model[index] = text;
                break;
            case 7 when model.Count > 0:
                listpack.Delete(listpack.Seek(index));
                model.RemoveAt(index);
                break;
            case 8 when model.Count > 0:
                int count = Math.Min(text.Length % 7, model.Count - index);
                listpack.DeleteRange(index - model.Count, count);
                model.RemoveRange(index, count);
                break;
            case 9:
                listpack.Append(at);
                model.Add(at.ToString());
                break;
            case 10 when model.Count > 0:
                listpack.Replace(listpack.Seek(index), at * 1_000_000_007L);
                model[index] = (at * 1_000_000_007L).ToString();
                break;
            case 11:
                var positions = new List<int>();
                for (int i = index % 3; i < model.Count; i += 3) positions.Add(listpack.Seek(i));
                listpack.Delete(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(positions));
                for (int i = model.Count - 1; i >= 0; i--)
                {
                    if (i >= index % 3 && (i - (index % 3)) % 3 == 0) model.RemoveAt(i);
                }
                break;
            case 12 when model.Count > 0:
                Listpack copy = listpack.Copy(listpack.Seek(index), listpack.EndPosition);
                Same(copy, model.Skip(index).ToList());
                if (model.Count > 100) break;
                listpack.Append(copy);
                model.AddRange(model.Skip(index).ToList());
                break;
        }
    }

    private static void Same(Listpack listpack, List<string> model)
    {
        Assert.True(ListpackCheck.IsValid(listpack.Bytes, out int count, out _));
        Assert.Equal(model.Count, count);
        Assert.Equal(model.Count, listpack.Count);
        Assert.Equal(model.Count == 0, listpack.IsEmpty);
        Assert.Equal(-1, listpack.Seek(model.Count));
        Assert.Equal(-1, listpack.Seek(-model.Count - 1));
        int at = listpack.First, bytes = Listpack.EmptyLength;
        foreach (string expected in model)
        {
            byte[] value = Encoding.Latin1.GetBytes(expected);
            ListpackElement element = listpack[at];
            Assert.Equal(expected, Encoding.Latin1.GetString(element.ToArray()));
            Assert.Equal(expected.Length, element.Length);
            Assert.True(listpack.Equals(at, value));
            Assert.Equal(at, listpack.Find(at, value));
            bytes += Listpack.SizeOf(value);
            at = listpack.Next(at);
        }
        Assert.Equal(-1, at);
        Assert.Equal(bytes, listpack.Length);
        // Seek and Find walk the listpack each time, so they are not tried for every element of a long one.
        int probes = Math.Max(1, model.Count / 16);
        at = listpack.Last;
        for (int i = model.Count - 1; i >= 0; i--)
        {
            Assert.Equal(model[i], Encoding.Latin1.GetString(listpack[at].ToArray()));
            if (i % probes == 0 || i >= model.Count - 2)
            {
                Assert.Equal(at, listpack.Seek(i));
                Assert.Equal(at, listpack.Seek(i - model.Count));
                Assert.Equal(listpack.Seek(model.IndexOf(model[i])), listpack.Find(listpack.First, Encoding.Latin1.GetBytes(model[i])));
            }
            at = listpack.Previous(at);
        }
        Assert.Equal(-1, at);
        Assert.Equal(-1, listpack.Find(listpack.First, "no such value"u8));
    }

    [Fact]
    public void Its_bytes_are_those_of_redis()
    {
        Listpack listpack = Listpack.Create();
        foreach (string text in "a hello 1 127 128 -1 -4096 4095 4096 -32768 32768 8388607 8388608 -2147483648 2147483648  0".Split(' '))
            listpack.Append(Encoding.Latin1.GetBytes(text));
        Assert.Equal(FromRedis, Convert.ToHexString(listpack.Bytes));
    }

    [Fact]
    public void Find_with_skip_looks_at_keys_only()
    {
        Listpack listpack = Listpack.Create();
        foreach (string text in "a b b c c 7 7 a".Split(' ')) listpack.Append(Encoding.Latin1.GetBytes(text));
        Assert.Equal(listpack.Seek(2), listpack.Find(listpack.First, "b"u8, skip: 1));
        Assert.Equal(listpack.Seek(6), listpack.Find(listpack.First, "7"u8, skip: 1));
        Assert.Equal(-1, listpack.Find(listpack.Seek(2), "a"u8, skip: 1));
    }

    [Fact]
    public void More_elements_than_the_header_can_count_are_walked()
    {
        Listpack listpack = Listpack.Create();
        for (int i = 0; i < 70_000; i++) listpack.Append(i);
        Assert.Equal(70_000, listpack.Count);
        Assert.Equal(69_999, listpack[listpack.Seek(-1)].Integer);
        Assert.Equal(66_000, listpack[listpack.Seek(66_000)].Integer);
        listpack.DeleteRange(0, 60_000);
        Assert.Equal(10_000, listpack.Count);
        Assert.Equal(60_000, listpack[listpack.First].Integer);
    }

    [Fact]
    public void Damaged_bytes_are_refused()
    {
        byte[] good = Convert.FromHexString(FromRedis);
        Assert.True(ListpackCheck.IsValid(good, out int count, out _));
        Assert.Equal(17, count);
        Assert.False(ListpackCheck.IsValid(good.AsSpan(0, good.Length - 1), out _, out _));
        // Whichever bit is flipped, the listpack is either refused or can be walked from both ends.
        for (int bit = 0; bit < good.Length * 8; bit++)
        {
            byte[] bad = (byte[])good.Clone();
            bad[bit / 8] ^= (byte)(1 << (bit % 8));
            if (!ListpackCheck.IsValid(bad, out int left, out _)) continue;
            var listpack = Listpack.Copy(bad);
            int walked = 0;
            for (int at = listpack.First; at >= 0; at = listpack.Next(at)) walked++;
            Assert.Equal(left, walked);
            for (int at = listpack.Last; at >= 0; at = listpack.Previous(at)) walked--;
            Assert.Equal(0, walked);
        }
    }

    [Fact]
    public unsafe void Room_is_used_before_a_block_is_replaced()
    {
        Listpack listpack = Listpack.Create(elementBytes: 30);
        byte* first = listpack.Block;
        int fitting = (Heap.SizeOf(first) - Listpack.EmptyLength) / 2;
        for (int i = 0; i < fitting; i++) listpack.Append(i);
        Assert.True(first == listpack.Block);
        listpack.Append(15);
        Assert.True(first != listpack.Block);
        listpack.TrimToSize();
        Assert.Equal(Heap.SizeFor(Listpack.EmptyLength + (2 * (fitting + 1))), Heap.SizeOf(listpack.Block));
    }
}
