using System.Buffers.Binary;
using System.Collections.Immutable;
using System.IO.Hashing;
using System.Text;

namespace OrleansRedis.Grains.ClusterStores.Raft;

/// <summary>What an entry of the Raft log asks for.</summary>
internal enum RaftCommandKind : byte
{
    /// <summary>Gives the cluster its identity, unless it has one.</summary>
    Found = 1,

    /// <summary>Gives a document new bytes, if it still has the expected version.</summary>
    Write = 2,
}

/// <summary>What has become of a write.</summary>
internal enum RaftOutcome : byte
{
    Written = 1,
    Changed = 2,

    /// <summary>So much has been written since that nobody remembers whether this was.</summary>
    Forgotten = 3,
}

/// <summary>
/// An entry of the Raft log. Its identity is the writer's: an entry that is in the log twice, since its writer asked a
/// second leader after the first had not answered, takes effect once.
/// </summary>
internal sealed record RaftCommand(RaftCommandKind Kind, Guid Id, string Name, long ExpectedVersion, ReadOnlyMemory<byte> Bytes)
{
    private const int HeaderBytes = 1 + 16 + 8 + 4;

    public byte[] Encode()
    {
        int nameBytes = Encoding.UTF8.GetByteCount(Name);
        byte[] encoded = new byte[HeaderBytes + nameBytes + Bytes.Length];
        encoded[0] = (byte)Kind;
        Id.TryWriteBytes(encoded.AsSpan(1));
        BinaryPrimitives.WriteInt64LittleEndian(encoded.AsSpan(17), ExpectedVersion);
        BinaryPrimitives.WriteInt32LittleEndian(encoded.AsSpan(25), nameBytes);
        Encoding.UTF8.GetBytes(Name, encoded.AsSpan(HeaderBytes));
        Bytes.Span.CopyTo(encoded.AsSpan(HeaderBytes + nameBytes));
        return encoded;
    }

    /// <exception cref="InvalidDataException">These bytes are no command.</exception>
    public static RaftCommand Decode(ReadOnlyMemory<byte> encoded)
    {
        ReadOnlySpan<byte> span = encoded.Span;
        if (span.Length < HeaderBytes) throw new InvalidDataException("A command of the cluster's store is too short.");
        int nameBytes = BinaryPrimitives.ReadInt32LittleEndian(span[25..]);
        if ((uint)nameBytes > (uint)(span.Length - HeaderBytes)) throw new InvalidDataException("A command of the cluster's store is damaged.");
        return new(
            (RaftCommandKind)span[0],
            new Guid(span.Slice(1, 16)),
            Encoding.UTF8.GetString(span.Slice(HeaderBytes, nameBytes)),
            BinaryPrimitives.ReadInt64LittleEndian(span[17..]),
            encoded[(HeaderBytes + nameBytes)..]);
    }
}

/// <summary>A document as the log has left it.</summary>
/// <param name="Bytes">Its content.</param>
/// <param name="Version">How often it has been written.</param>
/// <param name="Writers">Who wrote the last versions, the newest last.</param>
internal sealed record RaftDocument(ReadOnlyMemory<byte> Bytes, long Version, ImmutableList<Guid> Writers)
{
    public static readonly RaftDocument None = new(ReadOnlyMemory<byte>.Empty, 0, []);
}

/// <summary>
/// The state that Raft replicates: the cluster's identity, and documents with versions. Immutable; each entry of the log
/// makes the next state, and makes the same one on every machine.
/// </summary>
internal sealed class RaftDocuments
{
    /// <summary>How many writers a document remembers, and so for how many versions a write can be asked about.</summary>
    public const int RememberedWriters = 64;

    public static readonly RaftDocuments Empty = new(default, ImmutableDictionary.Create<string, RaftDocument>(StringComparer.Ordinal));

    private static ReadOnlySpan<byte> Magic => "ORDOCS01"u8;

    private readonly ImmutableDictionary<string, RaftDocument> _documents;

    private RaftDocuments(Guid cluster, ImmutableDictionary<string, RaftDocument> documents)
    {
        ClusterId = cluster;
        _documents = documents;
    }

    /// <summary>Which cluster this is; empty until its first leader has given it an identity.</summary>
    public Guid ClusterId { get; }

    public RaftDocument this[string name] => _documents.GetValueOrDefault(name, RaftDocument.None);

    public IEnumerable<string> Names => _documents.Keys;

    /// <summary>The state after a command, and what became of that command.</summary>
    public RaftDocuments Apply(RaftCommand command, out RaftOutcome outcome)
    {
        if (command.Kind == RaftCommandKind.Found)
        {
            outcome = RaftOutcome.Written;
            return ClusterId == Guid.Empty ? new(command.Id, _documents) : this;
        }
        if (command.Kind != RaftCommandKind.Write)
            throw new InvalidDataException($"The cluster's store has an entry of kind {(byte)command.Kind}, which this version does not know.");

        RaftDocument now = this[command.Name];
        if (now.Writers.Contains(command.Id))
        {
            outcome = RaftOutcome.Written;
            return this;
        }
        if (now.Version != command.ExpectedVersion)
        {
            outcome = now.Version - command.ExpectedVersion > RememberedWriters ? RaftOutcome.Forgotten : RaftOutcome.Changed;
            return this;
        }
        outcome = RaftOutcome.Written;
        ImmutableList<Guid> writers = now.Writers.Count < RememberedWriters ? now.Writers : now.Writers.RemoveAt(0);
        return new(ClusterId, _documents.SetItem(command.Name, new(command.Bytes.ToArray(), now.Version + 1, writers.Add(command.Id))));
    }

    /// <summary>The whole state as bytes, with the place in the log that it is the state of, and a checksum.</summary>
    public byte[] Save(long index, long term)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        writer.Write(Magic);
        writer.Write(index);
        writer.Write(term);
        writer.Write(ClusterId.ToByteArray());
        writer.Write(_documents.Count);
        foreach ((string name, RaftDocument document) in _documents.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            writer.Write(name);
            writer.Write(document.Version);
            writer.Write(document.Writers.Count);
            foreach (Guid id in document.Writers) writer.Write(id.ToByteArray());
            writer.Write(document.Bytes.Length);
            writer.Write(document.Bytes.Span);
        }
        writer.Flush();
        writer.Write(XxHash3.HashToUInt64(stream.GetBuffer().AsSpan(0, (int)stream.Length)));
        writer.Flush();
        return stream.ToArray();
    }

    /// <exception cref="InvalidDataException">The bytes are not all there, or not what <see cref="Save"/> made.</exception>
    public static RaftDocuments Load(byte[] saved, out long index, out long term)
    {
        if (saved.Length < Magic.Length + 8 || !saved.AsSpan().StartsWith(Magic)
            || XxHash3.HashToUInt64(saved.AsSpan(..^8)) != BinaryPrimitives.ReadUInt64LittleEndian(saved.AsSpan(^8)))
            throw new InvalidDataException("A snapshot of the cluster's store is damaged.");
        using var reader = new BinaryReader(new MemoryStream(saved, writable: false), Encoding.UTF8);
        reader.ReadBytes(Magic.Length);
        index = reader.ReadInt64();
        term = reader.ReadInt64();
        var cluster = new Guid(reader.ReadBytes(16));
        var documents = Empty._documents.ToBuilder();
        for (int left = reader.ReadInt32(); left > 0; left--)
        {
            string name = reader.ReadString();
            long version = reader.ReadInt64();
            var writers = ImmutableList.CreateBuilder<Guid>();
            for (int more = reader.ReadInt32(); more > 0; more--) writers.Add(new(reader.ReadBytes(16)));
            documents.Add(name, new(reader.ReadBytes(reader.ReadInt32()), version, writers.ToImmutable()));
        }
        return new(cluster, documents.ToImmutable());
    }
}
