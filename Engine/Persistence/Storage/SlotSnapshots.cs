namespace OrleansRedis.Engine;

/// <summary>Makes the pieces of a <see cref="SlotSnapshot"/>: encoded chunks of the RDB format.</summary>
public static class SlotSnapshots
{
    /// <summary>The approximate length of a piece, unless a single key is longer.</summary>
    private const int PieceLength = 1 << 20;

    /// <summary>A slot with more bytes than this cannot be written within about a millisecond.</summary>
    private const long MostBytes = 256 * 1024;

    /// <summary>
    /// Whether a slot is so large that writing it at once would stop commands for too long. Then
    /// <see cref="LargeSlotSnapshot"/> is used instead.
    /// </summary>
    public static bool IsLarge(Slot slot) => slot.Bytes > MostBytes;

    /// <summary>
    /// Writes the current content of a slot, and returns its position in the slot's history. The caller holds the silo
    /// gate shared; the slot's gate is held meanwhile. Null if the slot has been withdrawn.
    /// </summary>
    public static List<ReadOnlyMemory<byte>>? Write(Slot slot, ServerOptions options, int databases, long nowMs, out SlotPosition upTo)
    {
        upTo = default;
        slot.Gate.Enter();
        try
        {
            if (!slot.IsHere) return null;
            upTo = new(slot.Epoch, slot.Sequence);
            var pieces = new List<ReadOnlyMemory<byte>>(1);
            var writer = new RdbWriter(options.RdbCompression);
            for (int database = 0; database < databases; database++)
            {
                if (slot.KeyspaceIfAny(database) is not { Count: > 0 } keyspace) continue;
                RdbEntryWriter.Select(writer, database);
                foreach (KeyEntry entry in keyspace)
                {
                    if (writer.Written.Length > PieceLength)
                    {
                        pieces.Add(writer.Written.ToArray());
                        writer.Clear();
                        RdbEntryWriter.Select(writer, database);
                    }
                    RdbEntryWriter.Write(writer, entry, options, nowMs);
                }
            }
            if (!writer.Written.IsEmpty) pieces.Add(writer.Written.ToArray());
            return pieces;
        }
        finally
        {
            slot.Leave();
        }
    }

    /// <summary>
    /// Adds the keys of a piece to a slot that no other thread can see yet. Expired keys are kept, because the log that
    /// follows may refer to them. Throws <see cref="RdbFormatException"/> if the bytes are damaged.
    /// </summary>
    public static void Load(Slot slot, ReadOnlySpan<byte> piece, ServerOptions options, int databases, long nowMs)
    {
        var reader = new RdbReader(piece);
        Keyspace? keyspace = null;
        long expiresAtMs = Expiry.Never;
        uint? clock = null;
        while (!reader.AtEnd)
        {
            byte code = reader.Byte();
            switch ((RdbOpcode)code)
            {
                case RdbOpcode.SelectDb:
                    ulong database = reader.Length();
                    if (database >= (ulong)databases)
                        throw new RdbFormatException($"Keys of database {database}, while there are {databases} (see the directive databases).");
                    keyspace = slot.Keyspace((int)database);
                    continue;
                case RdbOpcode.ExpireTimeMs:
                    expiresAtMs = reader.Milliseconds();
                    continue;
                case RdbOpcode.Idle:
                    long idleSeconds = (long)reader.Length();
                    if (!options.UsesLfu) clock = Access.FromIdleSeconds(idleSeconds, nowMs);
                    continue;
                case RdbOpcode.Frequency:
                    byte frequency = reader.Byte();
                    if (options.UsesLfu) clock = Access.FromFrequency(frequency, nowMs);
                    continue;
            }
            byte[] key = reader.String();
            if (!RdbVersion.IsKnown((RdbType)code)) throw new RdbFormatException($"A value of unknown type {code}.");
            if (keyspace is null) throw new RdbFormatException("A key before its database.");
            if (KeySlot.Of(key) != slot.Number) throw new RdbFormatException("A key of another slot.");
            KeyEntry entry = RdbObjectReader.Read(reader, (RdbType)code, key, expiresAtMs, options, checksDoubles: false);
            if (entry.IsNone) throw new RdbFormatException("An empty collection.");
            entry.SetAccessClock(clock ?? Access.Initial(options, nowMs));
            keyspace.Add(entry);
            Retirement.Sweep(); // no gate is passed here
            expiresAtMs = Expiry.Never;
            clock = null;
        }
        reader.ReturnBuffers();
    }
}
