namespace OrleansRedis.Engine;

/// <summary>
/// Writes keys in the form they have in an RDB file. An <em>encoded chunk</em> is a run of keys of one database. It
/// begins with <see cref="Select"/>, so that chunks may follow each other in any order. <see cref="RdbFileWriter"/>
/// makes a file of them.
/// </summary>
internal static class RdbEntryWriter
{
    /// <summary>The keys from here on belong to this database.</summary>
    public static void Select(RdbWriter writer, int database)
    {
        writer.Opcode(RdbOpcode.SelectDb);
        writer.Length(database);
    }

    /// <summary>
    /// Writes a key: its expiry, its idle time or access frequency if the maxmemory policy uses it, then type, key and
    /// value.
    /// </summary>
    public static void Write(RdbWriter writer, KeyEntry entry, ServerOptions options, long nowMs)
    {
        long expiresAtMs = entry.ExpiresAtMs;
        if (expiresAtMs != Expiry.Never)
        {
            writer.Opcode(RdbOpcode.ExpireTimeMs);
            writer.Milliseconds(expiresAtMs);
        }
        switch (options.MaxMemoryPolicy)
        {
            case MaxMemoryPolicy.AllkeysLru or MaxMemoryPolicy.VolatileLru:
                writer.Opcode(RdbOpcode.Idle);
                writer.Length(Access.IdleMs(entry.AccessClock, nowMs) / 1000);
                break;
            case MaxMemoryPolicy.AllkeysLfu or MaxMemoryPolicy.VolatileLfu:
                writer.Opcode(RdbOpcode.Frequency);
                writer.Byte((byte)Access.Frequency(options, entry.AccessClock, nowMs));
                break;
        }
        writer.Type(RdbObjectWriter.TypeOf(entry));
        writer.String(entry.Key);
        RdbObjectWriter.Write(writer, entry);
    }
}
