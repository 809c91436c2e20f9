namespace OrleansRedis.Engine;

/// <summary>Takes what <see cref="RdbFileReader"/> reads, in the file's order.</summary>
internal interface IRdbSink
{
    /// <summary>A name and a value that the file says about itself.</summary>
    void Aux(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value);

    /// <summary>The code of a function library.</summary>
    void Library(byte[] code);

    /// <summary>A module's own data begins (only if the reader passes over modules).</summary>
    void ModuleAux(string module);

    /// <summary>The keys from here on belong to this database.</summary>
    void Database(int number);

    /// <summary>How many keys the database has, as the file says; for making room, if that many may be in it.</summary>
    void Resize(int keys);

    /// <summary>A key. <see cref="KeyEntry.ExpiresAtMs"/> is set, the access clock is not.</summary>
    /// <param name="entry">The entry.</param>
    /// <param name="expiresAtMs">When it expires.</param>
    /// <param name="idleSeconds">How long it was not used when the file was written; -1 if the file does not say.</param>
    /// <param name="frequency">Its LFU counter; -1 if the file does not say.</param>
    void Entry(object entry, long expiresAtMs, long idleSeconds, int frequency);

    /// <summary>A key with an empty collection, which old versions could write; it is no key. (A module's value, too, where those are passed over.)</summary>
    void Nothing(ReadOnlySpan<byte> key, RdbType type, long expiresAtMs);

    /// <summary>Every byte has been read, and the CRC was right.</summary>
    /// <param name="hasChecksum">False if the file was saved without.</param>
    void End(bool hasChecksum);
}
