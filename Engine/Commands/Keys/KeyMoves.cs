namespace OrleansRedis.Engine;

/// <summary>Giving keys another name or another database, and copying them.</summary>
internal static class KeyMoves
{
    /// <summary>RENAME key newkey</summary>
    [Command("RENAME", 3, CommandFlags.Write, Category.Keyspace, Keys = "RW ACCESS DELETE 1; OW UPDATE 2", Since = "1.0.0", Complexity = "O(1)",
        Summary = "Renames a key and overwrites the destination.", Syntax = "key newkey")]
    internal static void Rename(ref CommandContext call) => Rename(ref call, onlyIfFree: false);

    /// <summary>RENAMENX key newkey</summary>
    [Command("RENAMENX", 3, CommandFlags.Write | CommandFlags.Fast, Category.Keyspace, Keys = "RW ACCESS DELETE 1; OW INSERT 2", Since = "1.0.0",
        Complexity = "O(1)", Summary = "Renames a key only when the target key name doesn't exist.", Syntax = "key newkey",
        History = "3.2.0: The command no longer returns an error when source and destination names are the same.")]
    internal static void Renamenx(ref CommandContext call) => Rename(ref call, onlyIfFree: true);

    /// <summary>COPY source destination [DB destination-db] [REPLACE]</summary>
    [Command("COPY", -3, CommandFlags.Write | CommandFlags.DenyOom, Category.Keyspace, Keys = "RO ACCESS 1; OW UPDATE 2", Effort = Effort.AllElements,
        Since = "6.2.0", Complexity = "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
        Summary = "Copies the value of a key to a new key.", Syntax = "source destination [DB destination-db] [REPLACE]")]
    internal static void Copy(ref CommandContext call)
    {
        int database = call.Session.Database;
        bool replace = false;
        for (int i = 3; i < call.Count; i++)
        {
            if (call[i].Is("REPLACE"u8))
            {
                replace = true;
            }
            else if (call[i].Is("DB"u8) && i + 1 < call.Count)
            {
                if (!TryReadDatabase(ref call, ++i, out database)) return;
            }
            else
            {
                call.SyntaxError();
                return;
            }
        }
        if (database != 0 && call.Store.Cluster is not null)
        {
            call.Reply.Error("ERR Copying to another database is not allowed in cluster mode"u8);
            return;
        }
        ReadOnlySpan<byte> key = call[1], newKey = call[2];
        if (database == call.Session.Database && key.SequenceEqual(newKey))
        {
            call.Reply.Error(Errors.SameObject);
            return;
        }
        Entry source = call.Read(1);
        if (source.IsMissing)
        {
            call.Reply.Integer(0);
            return;
        }
        Keyspace from = source.Keyspace, to = call.KeyspaceOf(newKey, database);
        KeyEntry original = source.Found; // the entry itself may move when the destination turns out to have expired
        bool taken = !call.Peek(to, newKey).IsMissing;
        if (taken && !replace)
        {
            call.Reply.Integer(0);
            return;
        }
        KeyEntry copy = original.Clone(newKey);
        if (from.Slot != to.Slot) EntryEffects.Recreate(ref call, to, newKey, copy);
        if (taken) to.Remove(newKey);
        call.Add(to, copy);
        call.Modified(to, newKey, KeyEvents.Generic, "copy_to"u8);
        call.Reply.Integer(1);
    }

    /// <summary>MOVE key db</summary>
    [Command("MOVE", 3, CommandFlags.Write | CommandFlags.Fast, Category.Keyspace, Keys = "RW ACCESS UPDATE 1", Since = "1.0.0", Complexity = "O(1)",
        Summary = "Moves a key to another database.", Syntax = "key db")]
    internal static void Move(ref CommandContext call)
    {
        if (call.Store.Cluster is not null)
        {
            call.Reply.Error("ERR MOVE is not allowed in cluster mode"u8);
            return;
        }
        if (!TryReadDatabase(ref call, 2, out int database)) return;
        if (database == call.Session.Database)
        {
            call.Reply.Error(Errors.SameObject);
            return;
        }
        ReadOnlySpan<byte> key = call[1];
        Entry entry = call.Write(1);
        Keyspace from = entry.Keyspace, to = call.KeyspaceOf(key, database);
        if (entry.IsMissing || !call.Peek(to, key).IsMissing)
        {
            call.Reply.Integer(0);
            return;
        }
        KeyEntry moved = from.Take(key);
        call.AddMoved(to, moved);
        call.CountChanges(from.Slot, 1);
        call.WakeWatchers(from, key);
        call.WakeWatchers(to, key);
        call.Event(from, key, KeyEvents.Generic, "move_from"u8);
        call.Event(to, key, KeyEvents.Generic, "move_to"u8);
        call.Reply.Integer(1);
    }

    /// <summary>Reads the number of a database. If it is not one, the error is in the reply.</summary>
    internal static bool TryReadDatabase(ref CommandContext call, int index, out int database)
    {
        database = -1;
        if (!call.TryInt64(index, out long number)) return false;
        if (number is < int.MinValue or > int.MaxValue)
        {
            call.Reply.Error("ERR value is out of range, value must between -2147483648 and 2147483647"u8);
            return false;
        }
        database = (int)number;
        if (database >= 0 && database < call.Store.Slots.Databases) return true;
        call.Reply.Error("ERR DB index is out of range"u8);
        return false;
    }

    private static void Rename(ref CommandContext call, bool onlyIfFree)
    {
        ReadOnlySpan<byte> key = call[1], newKey = call[2];
        Entry source = call.Write(1);
        if (source.IsMissing)
        {
            call.Reply.Error(Errors.NoSuchKey);
            return;
        }
        if (key.SequenceEqual(newKey))
        {
            if (onlyIfFree) call.Reply.Integer(0);
            else call.Reply.Ok();
            return;
        }
        Keyspace from = source.Keyspace;
        Entry target = call.Write(2);
        Keyspace to = target.Keyspace;
        bool taken = !target.IsMissing;
        if (taken && onlyIfFree)
        {
            call.Reply.Integer(0);
            return;
        }
        if (from.Slot != to.Slot)
        {
            EntryEffects.Recreate(ref call, to, newKey, from.Find(key).Found);
            call.Effect(from, "DEL"u8, key);
        }
        if (taken) to.Remove(newKey);
        KeyEntry moved = from.Take(key).WithKey(newKey);
        call.AddMoved(to, moved);
        call.CountChanges(to.Slot, 1);
        call.WakeWatchers(from, key);
        call.WakeWatchers(to, newKey);
        call.Event(from, key, KeyEvents.Generic, "rename_from"u8);
        call.Event(to, newKey, KeyEvents.Generic, "rename_to"u8);
        if (onlyIfFree) call.Reply.Integer(1);
        else call.Reply.Ok();
    }
}
