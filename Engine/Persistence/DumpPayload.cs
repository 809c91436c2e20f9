using System.Buffers.Binary;

namespace OrleansRedis.Engine;

/// <summary>
/// The format of DUMP and RESTORE: the type (1 byte) and the content in the RDB format, the version of that format (2
/// bytes), and the CRC-64 of everything before it (8 bytes). Both numbers are little-endian.
/// </summary>
internal static class DumpPayload
{
    private const int FooterLength = 2 + 8;

    /// <summary>How many bytes of a payload are not the value's content.</summary>
    public const int Overhead = 1 + FooterLength;

    [ThreadStatic]
    private static RdbWriter? t_writer;

    [ThreadStatic]
    private static RdbWriter? t_plainWriter;

    /// <summary>
    /// The payload of an entry; valid until this thread makes another one, or calls <see cref="Forget"/>.
    /// </summary>
    public static ReadOnlySpan<byte> Of(KeyEntry entry, ServerOptions options)
    {
        RdbWriter writer = options.RdbCompression ? t_writer ??= new(compress: true) : t_plainWriter ??= new(compress: false);
        writer.Clear();
        RdbType type = RdbObjectWriter.TypeOf(entry);
        writer.Type(type);
        RdbObjectWriter.Write(writer, entry);
        Span<byte> footer = stackalloc byte[FooterLength];
        BinaryPrimitives.WriteUInt16LittleEndian(footer, (ushort)RdbVersion.Of(type));
        writer.Bytes(footer[..2]);
        BinaryPrimitives.WriteUInt64LittleEndian(footer, Crc64.Append(0, writer.Written));
        writer.Bytes(footer[..8]);
        return writer.Written;
    }

    /// <summary>Gives back the memory of a large payload that this thread has made.</summary>
    public static void Forget()
    {
        t_writer?.Clear();
        t_plainWriter?.Clear();
    }

    /// <summary>Whether a payload is of a known version, and its checksum is right.</summary>
    public static bool IsIntact(ReadOnlySpan<byte> payload, ServerOptions options)
    {
        if (payload.Length < FooterLength) return false;
        ReadOnlySpan<byte> footer = payload[^FooterLength..];
        return BinaryPrimitives.ReadUInt16LittleEndian(footer) <= RdbVersion.Newest
            && (options.SkipsChecksums || BinaryPrimitives.ReadUInt64LittleEndian(footer[2..]) == Crc64.Append(0, payload[..^8]));
    }

    /// <summary>
    /// The entry for a key that an intact payload describes; none if the content makes no sense; the reason is logged.
    /// </summary>
    public static KeyEntry Read(ReadOnlySpan<byte> payload, ReadOnlySpan<byte> key, ServerOptions options, ServerLog log)
    {
        var reader = new RdbReader(payload[..^FooterLength]);
        string reason = "Bytes are left over";
        long position = 0;
        try
        {
            KeyEntry entry = RdbObjectReader.Read(
                reader, reader.Type(), key, Expiry.Never, options, checksDoubles: options.SanitizeDumpPayload != SanitizeDumpPayload.No);
            if (reader.Repair is { } repair) log.Verbose($"RESTORE: {repair}");
            if (reader.AtEnd) return entry;
            if (!entry.IsNone) entry.Retire();
        }
        catch (Exception failure) when (failure is not InsufficientMemoryException and not OutOfMemoryException)
        {
            // Nearly always an RdbFormatException. The checks should leave no other, but if they miss a case, a
            // client's bytes must cause no more than an error reply.
            reason = failure.Message;
        }
        finally
        {
            position = reader.Position;
            reader.ReturnBuffers();
        }
        log.Verbose($"Internal error in RDB reading offset {position} -> {reason}");
        return default;
    }
}
