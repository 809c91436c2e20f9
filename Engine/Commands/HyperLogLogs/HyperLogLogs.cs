namespace OrleansRedis.Engine;

/// <summary>Counts distinct elements in a few kilobytes. The format is in <see cref="HyperLogLog"/>.</summary>
internal static class HyperLogLogs
{
    private static ReadOnlySpan<byte> Corrupted => "INVALIDOBJ Corrupted HLL object detected"u8;

    /// <summary>PFADD key [element [element ...]]</summary>
    [Command("PFADD", -2, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast, Category.HyperLogLog, Keys = "RW INSERT 1",
        Since = "2.8.9", Complexity = "O(1) to add every element.",
        Summary = "Adds elements to a HyperLogLog key. Creates the key if it doesn't exist.",
        Syntax = "key [element [element ...]]")]
    internal static void Pfadd(ref CommandContext call)
    {
        Entry entry = call.Write(1);
        if (!IsOne(ref call, entry)) return;
        int changes = entry.IsMissing ? 1 : 0;
        ReadOnlySpan<byte> key = call[1];
        if (!entry.IsMissing && !HyperLogLog.IsSparse(Content(entry)))
        {
            Span<byte> dense = StringWrites.Extend(ref call, entry, key, HyperLogLog.DenseLength);
            for (int i = 2; i < call.Count; i++)
            {
                int index = HyperLogLog.Locate(call[i], out int count);
                if (HyperLogLog.RaiseDense(dense, index, count)) changes++;
            }
            if (changes > 0) HyperLogLog.Invalidate(dense);
        }
        else
        {
            HyperLogLogEditor editor = HyperLogLogEditor.Shared;
            if (entry.IsMissing) editor.LoadEmpty();
            else editor.Load(Content(entry));
            for (int i = 2; i < call.Count; i++)
            {
                int index = HyperLogLog.Locate(call[i], out int count);
                if (!editor.TryRaise(index, count, call.Store.Options.HllSparseMaxBytes, out bool raised))
                {
                    call.Reply.Error(Corrupted);
                    return;
                }
                if (raised) changes++;
            }
            if (changes > 0)
            {
                HyperLogLog.Invalidate(editor.Bytes);
                Put(ref call, entry, key, editor.Bytes);
            }
        }
        if (changes > 0) call.Modified(entry.Keyspace, key, KeyEvents.String, "pfadd"u8, changes);
        call.Reply.Integer(changes > 0 ? 1 : 0);
    }

    /// <summary>PFCOUNT key [key ...]</summary>
    [Command("PFCOUNT", -2, CommandFlags.ReadOnly | CommandFlags.MayReplicate, Category.HyperLogLog, Keys = "RW ACCESS 1..-1",
        Since = "2.8.9",
        Complexity = "O(1) with a very small average constant time when called with a single key. O(N) with N being the number of keys, and much "
            + "bigger constant times, when called with multiple keys.",
        Summary = "Returns the approximated cardinality of the set(s) observed by the HyperLogLog key(s).",
        KeyNotes = "RW because it may change the internal representation of the key, and propagate to replicas",
        Syntax = "key [key ...]")]
    internal static void Pfcount(ref CommandContext call)
    {
        if (call.Count > 2)
        {
            Span<byte> registers = stackalloc byte[HyperLogLog.Registers];
            registers.Clear();
            if (TryMerge(ref call, registers, out _)) call.Reply.Integer(HyperLogLog.Count(registers));
            return;
        }
        Entry entry = call.Read(1);
        if (!IsOne(ref call, entry)) return;
        if (entry.IsMissing)
        {
            call.Reply.Integer(0);
            return;
        }
        if (!HyperLogLog.TryCached(Content(entry), out long cardinality))
        {
            if (!HyperLogLog.TryCount(Content(entry), out cardinality))
            {
                call.Reply.Error(Corrupted);
                return;
            }
            // The count is cached in the string, so this changes the string.
            entry.Keyspace.BeforeChange(call[1]);
            HyperLogLog.SetCached(StringWrites.Extend(ref call, entry, call[1], 0), cardinality);
            call.Modified(entry.Keyspace, call[1], KeyEvents.None, default);
            call.Effect(entry.Keyspace, "PFCOUNT"u8, call[1]);
        }
        call.Reply.Integer(cardinality);
    }

    /// <summary>PFMERGE destkey [sourcekey [sourcekey ...]]</summary>
    [Command("PFMERGE", -2, CommandFlags.Write | CommandFlags.DenyOom, Category.HyperLogLog, Keys = "RW ACCESS INSERT 1; RO ACCESS 2..-1",
        Since = "2.8.9", Complexity = "O(N) to merge N HyperLogLogs, but with high constant times.",
        Summary = "Merges one or more HyperLogLog values into a single key.",
        Syntax = "destkey [sourcekey [sourcekey ...]]")]
    internal static void Pfmerge(ref CommandContext call)
    {
        Span<byte> registers = stackalloc byte[HyperLogLog.Registers];
        registers.Clear();
        if (!TryMerge(ref call, registers, out bool anyDense)) return;
        Entry entry = call.Write(1);
        HyperLogLogEditor editor = HyperLogLogEditor.Shared;
        if (entry.IsMissing) editor.LoadEmpty();
        else editor.Load(Content(entry));
        bool sound = !anyDense || editor.TryToDense();
        for (int i = 0; i < registers.Length && sound; i++)
        {
            if (registers[i] != 0) sound = editor.TryRaise(i, registers[i], call.Store.Options.HllSparseMaxBytes, out _);
        }
        if (!sound)
        {
            call.Reply.Error(Corrupted);
            return;
        }
        HyperLogLog.Invalidate(editor.Bytes);
        Keyspace keyspace = entry.Keyspace;
        Put(ref call, entry, call[1], editor.Bytes);
        call.Modified(keyspace, call[1], KeyEvents.String, "pfadd"u8);
        // A copy may have only the destination's slot, so it gets the result. If all keys are in one slot, the request
        // itself is the shorter effect.
        if (call.Hold != Hold.Slot) call.Effect(keyspace, "SET"u8, call[1], editor.Bytes, "KEEPTTL"u8);
        call.Reply.Ok();
    }

    /// <summary>PFDEBUG GETREG | DECODE | ENCODING | TODENSE key</summary>
    [Command("PFDEBUG", 3, CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Admin, Category.HyperLogLog, Keys = "RW ACCESS 2",
        Since = "2.8.9", Complexity = "N/A",
        Summary = "Internal commands for debugging HyperLogLog values.",
        Syntax = "subcommand key", IsInternal = true)]
    internal static void Pfdebug(ref CommandContext call)
    {
        Entry entry = call.Write(2);
        if (entry.IsMissing)
        {
            call.Reply.Error("ERR The specified key does not exist"u8);
            return;
        }
        if (!IsOne(ref call, entry)) return;
        bool isSparse = HyperLogLog.IsSparse(Content(entry));
        if (call[1].Is("GETREG"u8))
        {
            if (isSparse && !TryToDense(ref call, entry)) return;
            ReadOnlySpan<byte> dense = Content(entry);
            call.Reply.Array(HyperLogLog.Registers);
            for (int i = 0; i < HyperLogLog.Registers; i++) call.Reply.Integer(HyperLogLog.GetDense(dense, i));
        }
        else if (call[1].Is("DECODE"u8))
        {
            if (isSparse) call.Reply.BulkString(HyperLogLog.Decode(Content(entry)));
            else call.Reply.Error("ERR HLL encoding is not sparse"u8);
        }
        else if (call[1].Is("ENCODING"u8))
        {
            call.Reply.SimpleString(isSparse ? "sparse"u8 : "dense"u8);
        }
        else if (call[1].Is("TODENSE"u8))
        {
            if (isSparse && !TryToDense(ref call, entry)) return;
            call.Reply.Integer(isSparse ? 1 : 0);
        }
        else
        {
            call.Reply.Error((ReadOnlySpan<byte>)[.. "ERR Unknown PFDEBUG subcommand '"u8, .. call[1], .. "'"u8]);
        }
    }

    /// <summary>
    /// PFSELFTEST — checks the registers, and the estimates for up to ten million elements, in both representations.
    /// </summary>
    [Command("PFSELFTEST", 1, CommandFlags.Admin, Category.HyperLogLog,
        Since = "2.8.9", Complexity = "N/A",
        Summary = "An internal command for testing HyperLogLog values.", IsInternal = true)]
    internal static void Pfselftest(ref CommandContext call)
    {
        byte[] dense = new byte[HyperLogLog.DenseLength], expected = new byte[HyperLogLog.Registers];
        for (int cycle = 0; cycle < 1000; cycle++)
        {
            Random.Shared.NextBytes(expected);
            for (int i = 0; i < expected.Length; i++) HyperLogLog.PutDense(dense, i, expected[i] &= 63);
            for (int i = 0; i < expected.Length; i++)
            {
                int found = HyperLogLog.GetDense(dense, i);
                if (found == expected[i]) continue;
                call.Reply.Error($"TESTFAILED Register {i} should be {expected[i]} but is {found}");
                return;
            }
        }
        Array.Clear(dense);
        var editor = new HyperLogLogEditor();
        editor.LoadEmpty();
        long seed = Random.Shared.NextInt64(), checkpoint = 1, sparseMax = call.Store.Options.HllSparseMaxBytes;
        Span<byte> element = stackalloc byte[sizeof(long)];
        for (long j = 1; j <= 10_000_000; j++)
        {
            System.Buffers.Binary.BinaryPrimitives.WriteInt64LittleEndian(element, j ^ seed);
            int index = HyperLogLog.Locate(element, out int count);
            HyperLogLog.RaiseDense(dense, index, count);
            editor.TryRaise(index, count, sparseMax, out _);
            if (j != checkpoint) continue;
            if (j < sparseMax / 2 && !editor.IsSparse)
            {
                call.Reply.Error("TESTFAILED sparse encoding not used"u8);
                return;
            }
            HyperLogLog.TryCount(dense, out long estimate);
            if (!HyperLogLog.TryCount(editor.Bytes, out long other) || estimate != other)
            {
                call.Reply.Error("TESTFAILED dense/sparse disagree"u8);
                return;
            }
            // Six times the expected standard error. At ten elements, one collision makes the estimate one too low.
            long error = Math.Abs(checkpoint - estimate), most = j == 10 ? 1 : (long)Math.Ceiling(1.04 / 128 * 6 * checkpoint);
            if (error > most)
            {
                call.Reply.Error($"TESTFAILED Too big error. card:{checkpoint} abserr:{error}");
                return;
            }
            checkpoint *= 10;
        }
        call.Reply.Ok();
    }

    /// <summary>Whether an entry is a HyperLogLog or missing. If not, the error is in the reply.</summary>
    private static bool IsOne(scoped ref CommandContext call, scoped in Entry entry)
    {
        if (!call.IsOf(ValueType.String, entry)) return false;
        if (entry.IsMissing || ((!entry.IsBlob || entry.Kind != BlobKind.Integer) && HyperLogLog.IsOne(Content(entry)))) return true;
        call.Reply.Error("WRONGTYPE Key is not a valid HyperLogLog string value."u8);
        return false;
    }

    private static ReadOnlySpan<byte> Content(scoped in Entry entry) => StringEntry.Read(entry.Found, default);

    /// <summary>Stores these bytes as the key's value, and keeps its expiry.</summary>
    private static void Put(scoped ref CommandContext call, scoped in Entry entry, ReadOnlySpan<byte> key, ReadOnlySpan<byte> bytes)
    {
        if (entry.IsMissing)
        {
            call.Add(entry.Keyspace, StringEntry.CreateRaw(key, bytes, Expiry.Never));
            return;
        }
        if (StringEntry.Length(entry.Found) == bytes.Length)
        {
            bytes.CopyTo(StringWrites.Extend(ref call, entry, key, bytes.Length));
            return;
        }
        KeyEntry made = StringEntry.CreateRaw(key, bytes, entry.ExpiresAtMs);
        made.SetAccessClock(entry.Found.AccessClock);
        entry.Overwrite(made);
    }

    /// <summary>Raises the registers to at least those of every key in the request.</summary>
    private static bool TryMerge(scoped ref CommandContext call, scoped Span<byte> registers, out bool anyDense)
    {
        anyDense = false;
        for (int i = 1; i < call.Count; i++)
        {
            Entry entry = call.Read(i);
            if (!IsOne(ref call, entry)) return false;
            if (entry.IsMissing) continue;
            anyDense |= !HyperLogLog.IsSparse(Content(entry));
            if (HyperLogLog.TryMergeInto(registers, Content(entry))) continue;
            call.Reply.Error(Corrupted);
            return false;
        }
        return true;
    }

    private static bool TryToDense(scoped ref CommandContext call, scoped in Entry entry)
    {
        byte[] dense = new byte[HyperLogLog.DenseLength];
        if (!HyperLogLog.TryWriteDense(Content(entry), dense))
        {
            call.Reply.Error(Corrupted);
            return false;
        }
        Put(ref call, entry, call[2], dense);
        call.Modified(entry.Keyspace, call[2], KeyEvents.None, default);
        call.Effect(entry.Keyspace, "PFDEBUG"u8, "TODENSE"u8, call[2]);
        return true;
    }
}
