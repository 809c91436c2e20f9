using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.SortedSets;

/// <summary>
/// The large encoding of sorted sets against a model: a list that is sorted again after every change.
/// </summary>
public class ScoreTreeTests
{
    [Fact]
    public void Random_changes_leave_it_equal_to_a_sorted_list()
    {
        // Few scores, so that many members share one, and enough members for several leaves.
        Gen<(int What, int Member, int Score)> change =
            from what in Gen.Frequency((6, Gen.Constant(0)), (2, Gen.Constant(1)), (2, Gen.Constant(2)), (1, Gen.Constant(3)))
            from member in Gen.Choose(0, 600)
            from score in Gen.Frequency((3, Gen.Choose(0, 5)), (1, Gen.Choose(-1000, 1000)))
            select (what, member, score);
        Prop.ForAll(change.ListOf().Resize(3000).ToArbitrary(), changes => Follow(changes)).Check();
    }

    [Theory]
    [InlineData("ascending")]
    [InlineData("descending")]
    [InlineData("random")]
    public void Three_levels_keep_their_promises_while_filled_and_emptied(string order)
    {
        const int Count = 20_000;
        var random = TestSeed.Random();
        int[] scores = [.. Enumerable.Range(0, Count)];
        if (order == "descending") Array.Reverse(scores);
        if (order == "random") random.Shuffle(scores);
        var set = new SortedSetValue("k"u8.ToArray());
        foreach (int score in scores) set.Add(score, Encoding.ASCII.GetBytes($"m{score}"));
        set.Order.Verify();
        for (int rank = 0; rank < Count; rank += 97)
        {
            Assert.Equal(rank, set.Order.At(rank).Score);
            Assert.Equal(rank, set.RankOf(rank, Encoding.ASCII.GetBytes($"m{rank}")));
        }
        if (order == "ascending") Assert.True(set.Order.Bytes < Count * 22, $"{set.Order.Bytes} bytes for {Count} members in ascending order");
        long bytesBefore = set.Bytes;
        while (set.Count > 0)
        {
            int from = random.Next(set.Count), count = Math.Min(set.Count - from, random.Next(1, 700));
            set.RemoveRange(from, count);
            set.Order.Verify();
            Assert.Equal(set.Count, set.Order.Count);
        }
        Assert.True(set.Bytes < bytesBefore / 100);
    }

    [Fact]
    public void A_set_that_keeps_a_few_of_many_gives_its_memory_back()
    {
        var set = new SortedSetValue("k"u8.ToArray());
        for (int i = 0; i < 10_000; i++) set.Add(i, Encoding.ASCII.GetBytes($"m{i}"));
        for (int i = 0; i < 10_000; i++)
        {
            if (i % 100 != 0) Assert.True(set.Remove(Encoding.ASCII.GetBytes($"m{i}")));
        }
        set.Order.Verify();
        Assert.Equal(100, set.Count);
        Assert.True(set.Order.Bytes < 12_000, $"{set.Order.Bytes} bytes for 100 members");
    }

    [Fact]
    public void A_member_that_a_damaged_listpack_has_twice_is_there_once_afterwards()
    {
        var blob = Blob.Create(BlobKind.ZSetListpack, "key"u8, Listpack.EmptyLength, Expiry.Never);
        Listpack listpack = Listpack.In(blob);
        listpack.Clear();
        for (int i = 0; i < 2; i++) SortedSetListpack.Append(ref listpack, 1, "twice"u8);
        SortedSetListpack.Append(ref listpack, 2, "once"u8);
        SortedSetValue set = SortedSetEntry.Convert(listpack.Blob, 1);
        Assert.Equal((2, 2), (set.Count, set.Order.Count));
        Assert.True(set.Remove("twice"u8));
        set.Order.Verify();
        Assert.Equal("once", Encoding.ASCII.GetString(set.Order.At(0).Member));
        set.Free();
    }

    private static void Follow(IEnumerable<(int What, int Member, int Score)> changes)
    {
        var set = new SortedSetValue("k"u8.ToArray());
        var model = new Dictionary<string, double>();
        int step = 0;
        foreach ((int what, int number, int score) in changes)
        {
            string name = $"m{number}";
            byte[] member = Encoding.ASCII.GetBytes(name);
            switch (what)
            {
                case 0 when set.Find(member) is { IsNone: false } entry:
                    set.SetScore(entry, score);
                    model[name] = score;
                    break;
                case 0:
                    set.Add(score, member);
                    model.Add(name, score);
                    break;
                case 1:
                    Assert.Equal(model.Remove(name), set.Remove(member));
                    break;
                case 2 when set.Find(member) is { IsNone: false } entry:
                    double near = entry.Score + 0.5;
                    set.SetScore(entry, near);
                    model[name] = near;
                    break;
                case 3 when model.Count > 0:
                    int from = number % model.Count, count = Math.Min(Math.Abs(score) % 90, model.Count - from);
                    foreach (string removed in Ordered(model).Skip(from).Take(count).ToArray()) model.Remove(removed);
                    set.RemoveRange(from, count);
                    break;
            }
            if (++step % 50 == 0) Same(set, model);
        }
        Same(set, model);
    }

    private static void Same(SortedSetValue set, Dictionary<string, double> model)
    {
        set.Order.Verify();
        Assert.Equal(model.Count, set.Count);
        string[] expected = Ordered(model);
        var up = new List<string>();
        for (ScoreTree.Position at = set.Order.At(0); at.IsValid; at.Next()) up.Add(Encoding.ASCII.GetString(at.Member));
        Assert.Equal(expected, up);
        var down = new List<string>();
        for (ScoreTree.Position at = set.Order.At(set.Count - 1); at.IsValid; at.Previous()) down.Add(Encoding.ASCII.GetString(at.Member));
        Assert.Equal(expected.Reverse(), down);
        for (int rank = 0; rank < expected.Length; rank += 7)
        {
            byte[] member = Encoding.ASCII.GetBytes(expected[rank]);
            Assert.Equal(rank, set.RankOf(model[expected[rank]], member));
            Assert.Equal(expected[rank], Encoding.ASCII.GetString(set.Order.At(rank).Member));
        }
        for (int score = -1; score <= 6; score++)
        {
            Assert.Equal(model.Count(pair => pair.Value < score), set.Order.CountBefore(new ScoreBound(score, afterEquals: false)));
            Assert.Equal(model.Count(pair => pair.Value <= score), set.Order.CountBefore(new ScoreBound(score, afterEquals: true)));
        }
    }

    private static string[] Ordered(Dictionary<string, double> model) =>
        [.. model.OrderBy(pair => pair.Value).ThenBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => pair.Key)];
}
