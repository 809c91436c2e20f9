namespace OrleansRedis.Engine;

/// <summary>
/// The data of modules in RDB files. There are no modules here, so it is only recognised, and skipped when a file is
/// checked.
/// </summary>
internal static class RdbModules
{
    private const int End = 0, SignedInteger = 1, UnsignedInteger = 2, Float = 3, Double = 4, String = 5;
    private const int NameLength = 9;

    /// <summary>
    /// The name in a module type's 64-bit ID: nine letters of 6 bits each, the first in the highest bits, above 10 bits
    /// for the version.
    /// </summary>
    public static string NameOf(ulong id)
    {
        const string Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        return string.Create(NameLength, id >> 10, static (name, bits) =>
        {
            for (int i = NameLength - 1; i >= 0; i--, bits >>= 6) name[i] = Letters[(int)(bits & 63)];
        });
    }

    /// <summary>Skips a module's data. Each element begins with its type.</summary>
    public static void Skip(RdbReader reader, string name)
    {
        while (true)
        {
            switch (reader.Length())
            {
                case End:
                    return;
                case SignedInteger or UnsignedInteger:
                    _ = reader.Length();
                    break;
                case Float:
                    _ = reader.Take(sizeof(float));
                    break;
                case Double:
                    _ = reader.Double();
                    break;
                case String:
                    _ = reader.StringSpan();
                    break;
                default:
                    throw new RdbFormatException($"Error reading a value of module {name}");
            }
        }
    }

    /// <summary>The opcode that must precede the number that says when a module's own data is to be loaded.</summary>
    public const int WhenOpcode = UnsignedInteger;
}
