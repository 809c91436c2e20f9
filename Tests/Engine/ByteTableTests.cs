using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

public unsafe class ByteTableTests
{
    /// <summary>
    /// How keys are hashed in a test: evenly, in long runs of neighbours, or only to the end of the table.
    /// </summary>
    public enum Hashing
    {
        Even,
        Clustered,
        AtTheEnd,
    }

    private enum What
    {
        Add,
        Remove,
        Find,
        AddMany,
        RemoveMany,
    }

    [Fact]
    public void Behaves_as_a_dictionary_does()
    {
        Gen<(What, int)> change =
            from what in Gen.Frequency(
                (6, Gen.Constant(What.Add)), (4, Gen.Constant(What.Remove)), (2, Gen.Constant(What.Find)),
                (1, Gen.Constant(What.AddMany)), (1, Gen.Constant(What.RemoveMany)))
            from key in Gen.Choose(0, 400)
            select (what, key);
        Gen<(Hashing, List<(What, int)>)> run =
            from hashing in Gen.Elements(Enum.GetValues<Hashing>())
            from changes in change.ListOf().Resize(400)
            select (hashing, changes);
        Prop.ForAll(run.ToArbitrary(), it =>
        {
            var table = new ByteTable<StoredMember>();
            var model = new Dictionary<int, nint>();
            foreach ((What what, int key) in it.Item2)
            {
                int count = what is What.AddMany or What.RemoveMany ? 40 : 1;
                for (int i = key; i < key + count; i++)
                {
                    if (what is What.Add or What.AddMany) Add(table, model, i, it.Item1);
                    else if (what is What.Remove or What.RemoveMany)
                        Assert.Equal(model.Remove(i, out nint removed) ? removed : 0, AddressOf(table.Remove(KeyOf(i), HashOf(i, it.Item1))));
                    else Assert.Equal(model.GetValueOrDefault(i), Get(table, i, it.Item1));
                }
            }
            AssertSame(model, table, it.Item1);
        }).Check();
    }

    [Fact]
    public void Every_key_is_found_at_every_step_of_growing_and_shrinking_a_large_table()
    {
        var table = new ByteTable<StoredMember>();
        var model = new Dictionary<int, nint>();
        var random = TestSeed.Random();
        const int Keys = 150_000; // several times what one step of resizing moves
        for (int i = 0; i < Keys; i++)
        {
            Add(table, model, i, Hashing.Even);
            int probe = random.Next(Keys);
            Assert.Equal(model.GetValueOrDefault(probe), Get(table, probe, Hashing.Even));
        }
        AssertSame(model, table, Hashing.Even);
        long full = table.CellBytes;
        for (int i = 0; i < Keys; i++)
        {
            Assert.Equal(model[i], AddressOf(table.Remove(KeyOf(i), HashOf(i, Hashing.Even))));
            model.Remove(i);
            int probe = random.Next(Keys);
            Assert.Equal(model.GetValueOrDefault(probe), Get(table, probe, Hashing.Even));
        }
        Assert.Equal(0, table.Count);
        Assert.True(table.CellBytes < full / 100, $"{table.CellBytes} of {full} bytes");
        Assert.True(table.Random(random).IsNone);
    }

    [Theory]
    [InlineData(Hashing.Even, 1)]
    [InlineData(Hashing.Even, 10)]
    [InlineData(Hashing.Even, 1000)]
    [InlineData(Hashing.Clustered, 3)]
    public void A_scan_meets_every_entry_that_stays_and_none_twice_without_changes(Hashing hashing, int count)
    {
        foreach (int size in new[] { 0, 1, 7, 100, 5000 })
        {
            var table = new ByteTable<StoredMember>();
            var model = new Dictionary<int, nint>();
            for (int i = 0; i < size; i++) Add(table, model, i, hashing);
            var met = new List<StoredMember>();
            uint cursor = 0;
            do cursor = table.Scan(cursor, count, met);
            while (cursor != 0);
            Assert.Equal(size, met.Count);
            Assert.Equal(size, met.Select(AddressOf).Distinct().Count());
        }
    }

    [Fact]
    public void A_scan_meets_every_entry_that_stays_while_the_table_grows_and_shrinks()
    {
        Gen<(int Staying, int Flying, int Count, int Seed, Hashing Hashing)> run =
            from staying in Gen.Choose(0, 300)
            from flying in Gen.Choose(0, 60_000)
            from count in Gen.Choose(1, 200)
            from seed in Gen.Choose(0, int.MaxValue)
            from hashing in Gen.Elements(Hashing.Even, Hashing.Clustered)
            select (staying, hashing == Hashing.Even ? flying : flying / 30, count, seed, hashing);
        Prop.ForAll(run.ToArbitrary(), it =>
        {
            var random = TestSeed.Random(it.Seed);
            var table = new ByteTable<StoredMember>();
            var staying = new Dictionary<int, nint>();
            for (int i = 0; i < it.Staying; i++) Add(table, staying, i, it.Hashing);
            var flying = new Dictionary<int, nint>();
            bool growing = random.Next(2) == 0;
            if (!growing) Fly(it.Flying);
            var met = new HashSet<nint>();
            var some = new List<StoredMember>();
            uint cursor = 0;
            do
            {
                some.Clear();
                cursor = table.Scan(cursor, it.Count, some);
                met.UnionWith(some.Select(AddressOf));
                if (random.Next(20) == 0) growing = !growing;
                Fly(growing ? it.Flying / 10 : -it.Flying / 10);
            }
            while (cursor != 0);
            Assert.All(staying.Values, entry => Assert.Contains(entry, met));

            void Fly(int change)
            {
                for (; change > 0 && flying.Count < 80_000; change--) Add(table, flying, 1000 + random.Next(1_000_000), it.Hashing);
                foreach (int key in flying.Keys.Take(Math.Max(0, -change)).ToArray())
                {
                    flying.Remove(key);
                    table.Remove(KeyOf(key), HashOf(key, it.Hashing));
                }
            }
        }).Check(values: 30);
    }

    [Fact]
    public void Random_gives_every_entry_its_chance()
    {
        var table = new ByteTable<StoredMember>();
        var model = new Dictionary<int, nint>();
        for (int i = 0; i < 20; i++) Add(table, model, i, Hashing.Clustered);
        var drawn = new Dictionary<nint, int>();
        var random = TestSeed.Random();
        for (int i = 0; i < 20_000; i++)
        {
            nint entry = AddressOf(table.Random(random));
            drawn[entry] = drawn.GetValueOrDefault(entry) + 1;
        }
        Assert.Equal(20, drawn.Count);
        Assert.All(drawn.Values, times => Assert.InRange(times, 800, 1200));
    }

    [Fact]
    public void Room_made_beforehand()
    {
        var table = new ByteTable<StoredMember>();
        var model = new Dictionary<int, nint>();
        table.EnsureCapacity(10_000);
        long bytes = table.CellBytes;
        for (int i = 0; i < 10_000; i++) Add(table, model, i, Hashing.Even);
        Assert.Equal(bytes, table.CellBytes);
    }

    [Fact]
    public void A_chain_is_what_a_search_looks_at_from_its_home_on()
    {
        var table = new ByteTable<StoredMember>(commonOrder: true);
        // Eight cells, of which six are homes: two keys at home in the first, one in the second, one in the fifth.
        uint sixth = uint.MaxValue / 6;
        foreach (uint hash in (uint[])[5, 7, sixth + 5, (4 * sixth) + 5]) table.Add(StoredMember.Create(BitConverter.GetBytes(hash)), hash);
        Assert.Equal(
            "Hash table 0 stats (main hash table):\n table size: 8\n number of elements: 4\n different slots: 3\n max chain length: 3\n"
            + " avg chain length (counted): 2.00\n avg chain length (computed): 1.33\n Chain length distribution:\n"
            + "   0: 5 (62.50%)\n   1: 1 (12.50%)\n   2: 1 (12.50%)\n   3: 1 (12.50%)\n",
            Told(table, inFull: true));
        Assert.Equal("Hash table 0 stats (main hash table):\n table size: 8\n number of elements: 4\n", Told(table, inFull: false));
        table.Free();
        Assert.Equal("Hash table 0 stats (main hash table):\nNo stats available for empty dictionaries\n", Told(new(), inFull: true));
    }

    [Fact]
    public void Every_cell_and_every_entry_is_told_of_while_the_table_grows_and_shrinks()
    {
        var table = new ByteTable<StoredMember>();
        int resizing = 0;
        for (int i = 0; i < 150_000; i++)
        {
            table.Add(StoredMember.Create(KeyOf(i)), HashOf(i, Hashing.Even));
            if (i % 997 == 0) Check();
        }
        for (int i = 0; i < 150_000; i++)
        {
            table.Remove(KeyOf(i), HashOf(i, Hashing.Even)).Free();
            if (i % 997 == 0) Check();
        }
        Assert.True(resizing > 0);

        void Check()
        {
            TableStatistics main = new(), target = new();
            table.CountCells(main, target, inFull: true);
            if (target.Cells != 0) resizing++;
            Assert.Equal(table.Count, main.Entries + target.Entries);
            foreach (TableStatistics part in (TableStatistics[])[main, target])
            {
                var text = new StringBuilder();
                part.Tell(text, isTarget: part == target, inFull: true);
                if (part.Entries == 0) continue;
                (long Length, long Count)[] chains = [.. Regex.Matches(text.ToString(), @"   (\d+): (\d+) \(")
                    .Select(match =>
                        (long.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture), long.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture)))];
                Assert.Equal(part.Cells, chains.Sum(chain => chain.Count));
                Assert.Contains($" max chain length: {chains[^1].Length}\n", text.ToString(), StringComparison.Ordinal);
            }
        }
    }

    private static string Told(ByteTable<StoredMember> table, bool inFull)
    {
        TableStatistics main = new(), target = new();
        table.CountCells(main, target, inFull);
        Assert.Equal(0, target.Cells);
        var text = new StringBuilder();
        main.Tell(text, isTarget: false, inFull);
        return text.ToString();
    }

    private static void Add(ByteTable<StoredMember> table, Dictionary<int, nint> model, int key, Hashing hashing)
    {
        if (model.ContainsKey(key)) return;
        var entry = StoredMember.Create(KeyOf(key));
        model.Add(key, AddressOf(entry));
        table.Add(entry, HashOf(key, hashing));
    }

    private static nint Get(ByteTable<StoredMember> table, int key, Hashing hashing)
    {
        ref StoredMember cell = ref table.Find(KeyOf(key), HashOf(key, hashing));
        return System.Runtime.CompilerServices.Unsafe.IsNullRef(ref cell) ? 0 : AddressOf(cell);
    }

    private static void AssertSame(Dictionary<int, nint> model, ByteTable<StoredMember> table, Hashing hashing)
    {
        Assert.Equal(model.Count, table.Count);
        var entries = new HashSet<nint>();
        foreach (StoredMember entry in table) Assert.True(entries.Add(AddressOf(entry)));
        Assert.Equal(model.Count, entries.Count);
        foreach ((int key, nint entry) in model) Assert.Equal(entry, Get(table, key, hashing));
    }

    private static nint AddressOf(StoredMember entry) => (nint)entry.Block;

    private static byte[] KeyOf(int key) => BitConverter.GetBytes(key);

    private static uint HashOf(int key, Hashing hashing) => hashing switch
    {
        Hashing.Even => (uint)key * 2654435769u,
        Hashing.Clustered => (uint)(key / 16) * 2654435769u,
        _ => uint.MaxValue - (uint)(key * 1000), // the home cells are the last few
    };
}
