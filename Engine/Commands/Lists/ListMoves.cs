using System.Buffers;

namespace OrleansRedis.Engine;

/// <summary>LMOVE and RPOPLPUSH, and their blocking forms BLMOVE and BRPOPLPUSH.</summary>
internal static class ListMoves
{
    /// <summary>LMOVE source destination LEFT | RIGHT LEFT | RIGHT</summary>
    [Command("LMOVE", 5, CommandFlags.Write | CommandFlags.DenyOom, Category.List, Keys = "RW ACCESS DELETE 1;RW INSERT 2", Since = "6.2.0",
        Complexity = "O(1)",
        Summary = "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element was moved.",
        Syntax = "source destination wherefrom=<LEFT | RIGHT> whereto=<LEFT | RIGHT>")]
    internal static void Lmove(ref CommandContext call)
    {
        if (!ListArguments.TryEnd(ref call, 3, out bool fromHead) || !ListArguments.TryEnd(ref call, 4, out bool toHead)) return;
        if (!TryMove(ref call, fromHead, toHead)) call.Reply.Null();
    }

    /// <summary>RPOPLPUSH source destination</summary>
    [Command("RPOPLPUSH", 3, CommandFlags.Write | CommandFlags.DenyOom, Category.List, Keys = "RW ACCESS DELETE 1;RW INSERT 2", Since = "1.2.0",
        Complexity = "O(1)",
        Summary = "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last element was popped.",
        Syntax = "source destination", Deprecated = "6.2.0: `LMOVE` with the `RIGHT` and `LEFT` arguments")]
    internal static void Rpoplpush(ref CommandContext call)
    {
        if (!TryMove(ref call, fromHead: false, toHead: true)) call.Reply.Null();
    }

    /// <summary>BLMOVE source destination LEFT | RIGHT LEFT | RIGHT timeout</summary>
    [Command("BLMOVE", 6, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Blocking, Category.List,
        Keys = "RW ACCESS DELETE 1;RW INSERT 2", Since = "6.2.0", Complexity = "O(1)",
        Summary = "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available otherwise. Deletes the "
            + "list if the last element was moved.",
        Syntax = "source destination wherefrom=<LEFT | RIGHT> whereto=<LEFT | RIGHT> timeout:double")]
    internal static void Blmove(ref CommandContext call)
    {
        if (!ListArguments.TryEnd(ref call, 3, out bool fromHead) || !ListArguments.TryEnd(ref call, 4, out bool toHead)) return;
        BlockingMove(ref call, fromHead, toHead);
    }

    /// <summary>BRPOPLPUSH source destination timeout</summary>
    [Command("BRPOPLPUSH", 4, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Blocking, Category.List,
        Keys = "RW ACCESS DELETE 1;RW INSERT 2", Since = "2.2.0", Complexity = "O(1)",
        Summary = "Pops an element from a list, pushes it to another list and returns it. Block until an element is available otherwise. Deletes the "
            + "list if the last element was popped.",
        Syntax = "source destination timeout:double", Deprecated = "6.2.0: `BLMOVE` with the `RIGHT` and `LEFT` arguments",
        History = "6.0.0: `timeout` is interpreted as a double instead of an integer.")]
    internal static void Brpoplpush(ref CommandContext call) => BlockingMove(ref call, fromHead: false, toHead: true);

    private static void BlockingMove(ref CommandContext call, bool fromHead, bool toHead)
    {
        if (!BlockingTimeout.TryReadSeconds(ref call, call.Count - 1, out long deadlineMs)) return;
        if (TryMove(ref call, fromHead, toHead)) return;
        if (!call.TryBlock(ValueType.List, 1, 1, deadlineMs)) call.Reply.Null();
    }

    /// <summary>
    /// Moves an element and replies with it, or with an error. If the source is missing, returns false and writes no
    /// reply.
    /// </summary>
    private static bool TryMove(ref CommandContext call, bool fromHead, bool toHead)
    {
        if (!call.TryWrite(1, ValueType.List, out Entry source)) return true;
        if (source.IsMissing) return false;
        if (!call.TryWrite(2, ValueType.List, out Entry destination)) return true;

        ListpackElement found = ListEntry.Peek(source.Found, fromHead);
        byte[] rented = ArrayPool<byte>.Shared.Rent(Math.Max(ListpackElement.ScratchLength, found.Text.Length));
        Span<byte> element = rented.AsSpan(0, found.AsSpan(rented).Length);
        if (!found.IsInteger) found.Text.CopyTo(element);
        call.Reply.BulkString(element);
        Move(ref call, source, destination, element, fromHead, toHead);
        ArrayPool<byte>.Shared.Return(rented);
        return true;
    }

    private static void Move(ref CommandContext call, in Entry source, in Entry destination, ReadOnlySpan<byte> element, bool fromHead, bool toHead)
    {
        ReadOnlySpan<byte> sourceKey = call[1], destinationKey = call[2];
        Keyspace from = source.Keyspace, to = destination.Keyspace;
        ListEntry.Remove(source, fromHead, 1);
        if (destination.IsMissing) ListWrites.Create(ref call, to, destinationKey, element);
        else ListEntry.Push(call.Store.Options, destination, element, toHead);
        call.Modified(to.Find(destinationKey), KeyEvents.List, toHead ? "lpush"u8 : "rpush"u8);
        // The source is looked up again, because adding the destination may have moved its cell.
        // The whole move is one change, which has been counted.
        ListWrites.Removed(ref call, from.Find(sourceKey), sourceKey, ListPops.EventOf(fromHead), changes: 0);
        LogMove(ref call, from, to, element, fromHead, toHead);
    }

    /// <summary>
    /// Gives the effect: LMOVE as it is, if both keys are in one slot; otherwise a pop in one slot's log and a push in
    /// the other's.
    /// </summary>
    private static void LogMove(ref CommandContext call, Keyspace from, Keyspace to, ReadOnlySpan<byte> element, bool fromHead, bool toHead)
    {
        if (!ReferenceEquals(from, to))
        {
            call.Effect(from, fromHead ? "LPOP"u8 : "RPOP"u8, call[1]);
            call.Effect(to, toHead ? "LPUSH"u8 : "RPUSH"u8, call[2], element);
        }
        else if (!call.Command.Is(CommandFlags.Blocking))
        {
            return; // the request itself is the effect
        }
        else if (call.BeginEffect(5) is { } effect)
        {
            effect.BulkString("LMOVE"u8);
            effect.BulkString(call[1]);
            effect.BulkString(call[2]);
            effect.BulkString(fromHead ? "LEFT"u8 : "RIGHT"u8);
            effect.BulkString(toHead ? "LEFT"u8 : "RIGHT"u8);
            call.EndEffect(from);
        }
    }
}
