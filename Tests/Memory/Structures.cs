using OrleansRedis.Engine;

namespace OrleansRedis.Tests;

/// <summary>Checks the structures that values consist of, beyond what commands get to see.</summary>
internal static unsafe class Structures
{
    public static void Verify(SlotTable slots)
    {
        for (int number = 0; number < KeySlot.Count; number++)
        {
            for (int database = 0; database < slots.Databases; database++)
            {
                if (slots[number]?.KeyspaceIfAny(database) is not { Count: > 0 } keyspace) continue;
                int count = 0;
                foreach (KeyEntry entry in keyspace)
                {
                    count++;
                    Require(keyspace.Get(entry.Key) == entry, "A key is not found where it is.");
                    if (entry.IsBlob) Require(Heap.IsBlock(entry.Block), "A key is in no block.");
                    else Verify(entry.Value);
                }
                Require(count == keyspace.Count, "There are more keys, or fewer, than are counted.");
            }
        }
    }

    private static void Verify(Value value)
    {
        switch (value)
        {
            case SortedSetValue set:
                set.Order.Verify();
                for (ScoreTree.Position at = set.Order.At(0); at.IsValid; at.Next())
                    Require(set.Find(at.Member).Block == at.Entry.Block, "The order and the dictionary of a sorted set have different entries.");
                break;
            case HashValue hash:
                foreach (HashField field in hash.Fields) Require(hash.Find(field.Key).Block == field.Block, "A field is not found where it is.");
                break;
            case SetValue set:
                foreach (StoredMember member in set.Members) Require(set.Contains(member.Key), "A member is not found.");
                break;
            case ListValue list:
                Verify(list.Elements);
                break;
            case StreamValue stream:
                foreach (StreamGroup group in stream.Groups.Items)
                {
                    for (StreamIdMap<PendingEntry>.Position at = group.Pending.First; at.IsValid; at.Next())
                        Require(group.ConsumerOf(at.Value).Pending.Find(at.Id) != null, "What is pending in a group is not so for its consumer.");
                }
                break;
        }
    }

    private static void Verify(Quicklist list)
    {
        QuicklistNode* previous = null;
        long elements = 0, bytes = Quicklist.ObjectBytes;
        int nodes = 0;
        for (QuicklistNode* node = list.Head; node != null; node = node->Next)
        {
            Require(node->Previous == previous, "Nodes of a list are linked wrongly.");
            elements += node->Count;
            bytes += Heap.AllocatedBytes((byte*)node) + Heap.AllocatedBytes(node->Block);
            nodes++;
            previous = node;
        }
        Require(list.Tail == previous, "The tail of a list is not its last node.");
        Require((elements, nodes, bytes) == (list.Count, list.NodeCount, list.Bytes), "A list counts something else than it has.");
    }

    private static void Require(bool isTrue, string otherwise)
    {
        if (!isTrue) throw new InvalidOperationException(otherwise);
    }
}
