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
        if (command.Name == "bitfield")
        {
            // It only reads if all its operations are GET.
            for (int i = 2; i < request.Count; i++)
            {
                if (request[i].Is("SET"u8) || request[i].Is("INCRBY"u8)) return s_readAndUpdate;
            }
            return s_read;
        }
        // SET: GET returns the old value, and a condition tells something about it.
        for (int i = 3; i < request.Count; i++)
        {
            ReadOnlySpan<byte> word = request[i];
            if (word.Is("GET"u8) || word.Is("IFEQ"u8) || word.Is("IFNE"u8) || word.Is("IFDEQ"u8) || word.Is("IFDNE"u8)) return s_readAndUpdate;
        }
        return s_replace;
    }
}
