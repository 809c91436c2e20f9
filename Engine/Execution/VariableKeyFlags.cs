namespace OrleansRedis.Engine;

/// <summary>
/// What a command does to its key, where that depends on its other arguments and the key specification says
/// VARIABLE_FLAGS.
/// </summary>
internal sealed class VariableKeyFlags
{
    private static readonly VariableKeyFlags s_read = new("RO", "ACCESS"), s_readAndUpdate = new("RW", "ACCESS", "UPDATE"), s_replace = new("OW", "UPDATE"),
        s_delete = new("RM", "DELETE"), s_readAndDelete = new("RW", "ACCESS", "DELETE");

    private VariableKeyFlags(params string[] names)
    {
        Names = names;
        Access = KeySpecification.AccessOf(names);
    }

    /// <summary>The flags, as a key specification names them.</summary>
    public string[] Names { get; }

    /// <summary>What they allow to be done to the key.</summary>
    public KeyAccess Access { get; }

    /// <summary>What this request does to the command's key.</summary>
    public static VariableKeyFlags Of(CommandInfo command, in Request request)
    {
        if (command.Name == "delex") return request.Count > 2 ? s_readAndDelete : s_delete;
        if (command.Name == "bitfield") return BitfieldOnlyReads(request) ? s_read : s_readAndUpdate;
        // SET: GET returns the old value, and a condition tells something about it.
        for (int i = 3; i < request.Count; i++)
        {
            ReadOnlySpan<byte> word = request[i];
            if (word.Is("GET"u8) || word.Is("IFEQ"u8) || word.Is("IFNE"u8) || word.Is("IFDEQ"u8) || word.Is("IFDNE"u8)) return s_readAndUpdate;
        }
        return s_replace;
    }

    /// <summary>
    /// Whether all operations of BITFIELD are GET. What makes no sense counts as a write, to be on the safe side.
    /// </summary>
    private static bool BitfieldOnlyReads(in Request request)
    {
        for (int i = 2; i < request.Count; i++)
        {
            int more = request.Count - i - 1;
            if (more >= 2 && request[i].Is("GET"u8)) i += 2;
            else if (more >= 1 && request[i].Is("OVERFLOW"u8)) i++;
            else return false;
        }
        return true;
    }
}
