using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types.Lists;

public unsafe class QuicklistTests
{
    private sealed record Change(int What, int At, int Much, string Text);

    [Fact]
    public void Random_changes_leave_it_equal_to_a_list()
    {
        Gen<Change> change =
            from what in Gen.Choose(0, 15)
            from at in Gen.Choose(0, 1000)
            from much in Gen.Choose(1, 40)
            from text in Texts()
            select new Change(what, at, much, text);
        Gen<(int Fill, int Depth, List<Change> Changes)> run =
            from fill in Gen.Elements(1, 2, 3, 16, 128, -1, -2, 0)
            from depth in Gen.Elements(0, 0, 1, 2)
            from changes in change.ListOf().Resize(400)
            select (fill, depth, changes);
        Prop.ForAll(run.ToArbitrary(), it =>
        {
            var list = new Quicklist(it.Fill, it.Depth);
            var model = new List<string>();
            for (int i = 0; i < it.Changes.Count; i++)
            {
                Apply(list, model, it.Changes[i]);
                Assert.Equal(model.Count, list.Count);
                // Checking the whole structure after every change would be quadratic, so only every sixteenth change is
                // checked, and the last.
                if (i % 16 == 0) CheckStructure(list);
            }
            CheckStructure(list);
            var value = new ListValue([], list);
            Assert.Equal(model, Contents(value, forward: true));
            Assert.Equal(model.AsEnumerable().Reverse(), Contents(value, forward: false));
            var clone = (ListValue)value.Clone([]);
            CheckStructure(clone.Elements);
            Assert.Equal(list.NodeCount, clone.Elements.NodeCount);
            Assert.Equal(model, Contents(clone, forward: true));
            for (int i = 0; i < model.Count; i += 7) Assert.Equal(model[i], At(value, i));
            clone.Free();
            Assert.Equal(model, Contents(value, forward: true));
            value.Free();
            CheckStructure(list);
            Retirement.Sweep();
        }).Check();
    }

    [Fact]
    public void Pushes_and_pops_at_both_ends_of_a_long_list_make_no_objects()
    {
        var list = new Quicklist(-2, 0);
        for (int i = 0; i < 20_000; i++) list.PushTail("element"u8);
        for (int i = 0; i < 1_000; i++) Cycle(list);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 20_000; i++) Cycle(list);
        // Twenty nodes' worth of elements went through either end.
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        list.Free();

        static void Cycle(Quicklist list)
        {
            list.PushHead("element"u8);
            list.RemoveLast();
            Retirement.Sweep();
        }
    }

    [Fact]
    public void What_was_found_stays_readable_until_the_command_ends()
    {
        string large = new('z', 9000), small = new('y', 500);
        foreach (string text in new[] { large, small })
        {
            byte[] bytes = Encoding.ASCII.GetBytes(text);
            var list = new Quicklist(-2, 0);
            var value = new ListValue([], list);
            for (int i = 0; i < 40; i++) list.PushTail(bytes);
            var cursor = new ListCursor(value, 20, forward: true);
            Assert.True(cursor.MoveNext());
            list.RemoveRange(0, list.Count);
            for (int i = 0; i < 40; i++) list.PushTail("else"u8);
            Assert.True(cursor.Current.Equals(bytes));
            value.Free();
            Retirement.Sweep();
        }
    }

    [Fact]
    public void A_long_list_of_small_elements_takes_little_more_than_its_listpacks()
    {
        foreach (bool atHead in new[] { true, false })
        {
            var list = new Quicklist(-2, 0);
            long content = 0;
            byte[] element = new byte[12];
            for (int i = 0; i < 200_000; i++)
            {
                Encoding.ASCII.GetBytes($"element{i % 100_000:00000}", element);
                if (atHead) list.PushHead(element);
                else list.PushTail(element);
                content += 14;
            }
            // The guards of a checked heap make a node's block one size larger.
            Assert.InRange(list.Bytes, content, content * (HeapChecks.AreOn ? 1.15 : 1.03));
            list.Free();
            Retirement.Sweep();
        }
    }

    [Fact]
    public void Inner_nodes_are_compressed_and_those_within_the_depth_are_not()
    {
        var list = new Quicklist(-1, 1);
        for (int i = 0; i < 5000; i++) list.PushTail(Encoding.ASCII.GetBytes($"element number {i % 10}"));
        CheckStructure(list);
        Assert.True(list.NodeCount > 10);
        Assert.True(list.Head->Next->IsCompressed);
        Assert.InRange(list.Bytes, 0, 2 * 4096 + list.NodeCount * 700);
        var value = new ListValue([], list);
        Assert.Equal("element number 3", At(value, 2503));
        value.Free();
        Retirement.Sweep();
    }

    private static Gen<string> Texts() => Gen.Frequency(
        (5, Gen.Choose(-5, 5).Select(number => number.ToString())),
        (5, Gen.Choose(0, 30).Select(length => new string('x', length))),
        (2, Gen.Elements(63, 64, 500, 1000, 4000).Select(length => new string('y', length))),
        (1, Gen.Elements(4097, 8192, 8193, 9000).Select(length => new string('z', length))));

    private static void Apply(Quicklist list, List<string> model, Change change)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(change.Text);
        int at = model.Count == 0 ? 0 : change.At % model.Count;
        switch (change.What)
        {
            case 0 or 1 or 2:
                for (int i = 0; i < change.Much; i++)
                {
                    list.PushTail(bytes);
                    model.Add(change.Text);
                }
                break;
            case 3 or 4 or 5:
                for (int i = 0; i < change.Much; i++)
                {
                    list.PushHead(bytes);
                    model.Insert(0, change.Text);
                }
                break;
            case 6:
                for (int i = 0; i < change.Much && model.Count > 0; i++)
                {
                    list.RemoveFirst();
                    model.RemoveAt(0);
                }
                break;
            case 7:
                for (int i = 0; i < change.Much && model.Count > 0; i++)
                {
                    list.RemoveLast();
                    model.RemoveAt(model.Count - 1);
                }
                break;
            case 8 or 9 or 10 when model.Count > 0:
                bool after = change.Much % 2 == 0;
                list.Insert(list.Seek(at, out int offset), offset, bytes, after);
                model.Insert(after ? at + 1 : at, change.Text);
                break;
            case 11 or 12 when model.Count > 0:
                list.Replace(list.Seek(at, out offset), offset, bytes);
                model[at] = change.Text;
                break;
            case 13:
                list.RemoveRange(at, change.Much);
                if (model.Count > 0) model.RemoveRange(at, Math.Min(change.Much, model.Count - at));
                break;
            case 14 or 15:
                bool reverse = change.What == 15;
                long removed = list.RemoveEqual(bytes, change.Much % 4 + 1, reverse);
                int left = change.Much % 4 + 1, expected = 0;
                for (int i = reverse ? model.Count - 1 : 0; i >= 0 && i < model.Count && left > 0; i += reverse ? -1 : 1)
                {
                    if (model[i] != change.Text) continue;
                    model.RemoveAt(i);
                    if (!reverse) i--;
                    left--;
                    expected++;
                }
                Assert.Equal(expected, removed);
                break;
        }
    }

    private static void CheckStructure(Quicklist list)
    {
        long count = 0, bytes = Quicklist.ObjectBytes;
        int nodes = 0;
        var reader = new QuicklistReader();
        QuicklistNode* previous = null;
        for (QuicklistNode* node = list.Head; node != null; node = node->Next)
        {
            Assert.True(previous == node->Previous);
            if (node->IsPlain) Assert.Equal(1, node->Count);
            else
            {
                Assert.True(ListpackCheck.IsValid(reader.Content(node), out int elements, out _));
                Assert.Equal(elements, node->Count);
                Assert.NotEqual(0, elements);
            }
            Assert.InRange(node->IsCompressed ? node->Stored.Length : node->Start + node->Length, 0, Heap.SizeOf(node->Block));
            count += node->Count;
            bytes += Heap.AllocatedBytes((byte*)node) + Heap.AllocatedBytes(node->Block);
            nodes++;
            previous = node;
        }
        Assert.True(previous == list.Tail);
        Assert.Equal(list.Count, count);
        Assert.Equal(list.Bytes, bytes);
        Assert.Equal(list.NodeCount, nodes);
        if (list.CompressDepth == 0) return;
        int index = 0;
        for (QuicklistNode* node = list.Head; node != null; node = node->Next, index++)
        {
            bool outer = index < list.CompressDepth || index >= nodes - list.CompressDepth;
            if (outer) Assert.False(node->IsCompressed);
            // Runs of one letter compress well.
            else if (node->Length > 200 && node->IsPlain) Assert.True(node->IsCompressed);
        }
    }

    private static List<string> Contents(ListValue list, bool forward)
    {
        var found = new List<string>();
        if (list.ElementCount == 0) return found;
        var cursor = new ListCursor(list, forward ? 0 : list.ElementCount - 1, forward);
        while (cursor.MoveNext()) found.Add(Encoding.Latin1.GetString(cursor.Current.ToArray()));
        return found;
    }

    private static string At(ListValue list, long index)
    {
        var cursor = new ListCursor(list, index, forward: true);
        Assert.True(cursor.MoveNext());
        return Encoding.Latin1.GetString(cursor.Current.ToArray());
    }
}
