namespace OrleansRedis.Engine;

/// <summary>
/// Chooses the representation of a hash by the fields and values in a command's arguments; see <see cref="HashEntry"/>.
/// </summary>
internal static class HashWrites
{
    /// <summary>
    /// Turns a hash into a table in advance, if the fields and values in these arguments, which are about to be added,
    /// are too many or too long for a listpack.
    /// </summary>
    public static KeyEntry Prepare(KeyEntry hash, ref CommandContext call, int from)
    {
        if (!hash.IsBlob) return hash;
        return FitListpack(ref call, from) ? hash : HashEntry.ToTable(hash, (call.Count - from) / 2);
    }

    /// <summary>
    /// Makes an empty hash for a missing key, with exactly enough room for the fields and values in these arguments.
    /// </summary>
    public static KeyEntry Create(ref CommandContext call, int from)
    {
        ReadOnlySpan<byte> key = call[1];
        if (!FitListpack(ref call, from)) return new HashValue(key.ToArray(), (call.Count - from) / 2);
        int bytes = 0;
        for (int i = from; i < call.Count; i++) bytes += Listpack.SizeOf(call[i]);
        return HashEntry.CreateListpack(key, bytes);
    }

    private static bool FitListpack(ref CommandContext call, int from)
    {
        ServerOptions options = call.Store.Options;
        if ((call.Count - from) / 2 > options.HashMaxListpackEntries) return false;
        for (int i = from; i < call.Count; i++)
        {
            if (call[i].Length > options.HashMaxListpackValue) return false;
        }
        return true;
    }
}
