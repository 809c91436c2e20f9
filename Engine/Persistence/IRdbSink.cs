namespace OrleansRedis.Engine;

/// <summary>Receives what <see cref="RdbFileReader"/> reads, in the order of the file.</summary>
internal interface IRdbSink
{
    /// <summary>A name and a value that describe the file.</summary>
    void Aux(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value);

    /// <summary>The code of a function library.</summary>
    void Library(byte[] code);

    /// <summary>The beginning of a module's own data. Called only if the reader skips modules.</summary>
    void ModuleAux(string module);

    /// <summary>The keys from here on belong to this database.</summary>
    void Database(int number);

    /// <summary>
    /// How many keys the file says the database has. Used to make room, provided that the file can hold that many.
    /// </summary>
    void Resize(int keys);

    /// <summary>A key. <see cref="KeyEntry.ExpiresAtMs"/> is set; the access clock is not.</summary>
    /// <param name="entry">The entry, which belongs to the sink from now on.</param>
    /// <param name="expiresAtMs">When it expires.</param>
    /// <param name="idleSeconds">
    /// How long the key had been idle when the file was written; -1 if the file does not say.
    /// </param>
    /// <param name="frequency">Its LFU counter; -1 if the file does not say.</param>
    void Entry(KeyEntry entry, long expiresAtMs, long idleSeconds, int frequency);

    /// <summary>
    /// A key with an empty collection, which old versions could write but which is not a key. Also a module's value, if
    /// the reader skips modules.
    /// </summary>
    void Nothing(ReadOnlySpan<byte> key, RdbType type, long expiresAtMs);

    /// <summary>The key that comes next was not stored quite right; what has been done about it, for the log.</summary>
    void Repaired(ReadOnlySpan<byte> key, string repair);

    /// <summary>Every byte has been read, and the CRC is right.</summary>
    /// <param name="hasChecksum">False if the file was saved without a CRC.</param>
    void End(bool hasChecksum);
}
