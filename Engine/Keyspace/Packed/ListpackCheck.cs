using System.Buffers.Binary;

namespace OrleansRedis.Engine;

/// <summary>Checks listpacks that come from outside (RESTORE, files) before they are used.</summary>
internal static class ListpackCheck
{
    /// <summary>The most digits of an integer, with its sign.</summary>
    private const int LongestInteger = 20;

    private const byte End = 0xff;

    /// <summary>
    /// Whether bytes are a well-formed listpack that fills them exactly, so that reading it can never leave them.
    /// </summary>
    /// <param name="bytes">The bytes.</param>
    /// <param name="count">How many elements it has.</param>
    /// <param name="isCanonical">
    /// Whether every element is written in the one way in which we would write it. Only then may elements be compared
    /// by their bytes, as <see cref="Listpack"/> does.
    /// </param>
    public static bool IsValid(ReadOnlySpan<byte> bytes, out int count, out bool isCanonical)
    {
        count = 0;
        isCanonical = true;
        if (bytes.Length < Listpack.EmptyLength || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != (uint)bytes.Length || bytes[^1] != End) return false;
        int noted = BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]);
        ReadOnlySpan<byte> rest = bytes[Listpack.HeaderLength..^1];
        while (rest.Length > 0)
        {
            byte marker = rest[0];
            int length;
            if (marker < 0x80)
            {
                length = 1;
            }
            else if (marker < 0xc0)
            {
                length = 1 + (marker & 63);
                if (length > rest.Length) return false;
                isCanonical &= !LooksLikeInteger(rest[1..length]);
            }
            else if (!TryLength(rest, out length, ref isCanonical))
            {
                return false;
            }
            if (length <= 127)
            {
                if (length >= rest.Length || rest[length] != length) return false;
                rest = rest[(length + 1)..];
            }
            else
            {
                int back = Listpack.BackLength(length);
                if (length > rest.Length - back || !Listpack.IsBackLength(length, rest.Slice(length, back))) return false;
                rest = rest[(length + back)..];
            }
            count++;
        }
        return noted == count || noted == ushort.MaxValue;
    }

    private static bool TryLength(ReadOnlySpan<byte> element, out int length, ref bool isCanonical)
    {
        byte marker = element[0];
        length = marker switch { < 0xf0 => 2, 0xf0 => 5, 0xf1 => 3, 0xf2 => 4, 0xf3 => 5, 0xf4 => 9, _ => int.MaxValue };
        if (length > element.Length) return false;
        long value;
        switch (marker)
        {
            case < 0xe0:
                value = ((((marker & 31) << 8) | element[1]) << 19) >> 19;
                isCanonical &= value is < 0 or > 127;
                return true;
            case < 0xf0:
                int text = ((marker & 15) << 8) | element[1];
                isCanonical &= text >= 64;
                length += text;
                return true;
            case 0xf0:
                uint longText = BinaryPrimitives.ReadUInt32LittleEndian(element[1..]);
                isCanonical &= longText >= 4096;
                if (longText > (uint)element.Length) return false;
                length += (int)longText;
                return true;
            case 0xf1:
                value = BinaryPrimitives.ReadInt16LittleEndian(element[1..]);
                isCanonical &= value is < -4096 or > 4095;
                return true;
            case 0xf2:
                value = element[1] | (element[2] << 8) | ((sbyte)element[3] << 16);
                isCanonical &= value is < short.MinValue or > short.MaxValue;
                return true;
            case 0xf3:
                value = BinaryPrimitives.ReadInt32LittleEndian(element[1..]);
                isCanonical &= value is < -8388608 or > 8388607;
                return true;
            default:
                value = BinaryPrimitives.ReadInt64LittleEndian(element[1..]);
                isCanonical &= value is < int.MinValue or > int.MaxValue;
                return true;
        }
    }

    private static bool LooksLikeInteger(ReadOnlySpan<byte> text) =>
        (uint)(text.Length - 1) < LongestInteger && ((uint)(text[0] - '0') <= 9 || text[0] == '-') && Numbers.TryParseInt64(text, out _);
}
