using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace OrleansRedis.Grains.Membership;

/// <summary>
/// Orleans's membership table as a document of the cluster's store. The table's version and those of its rows are its
/// own, since a silo's signs of life change the document and must disturb no other change.
/// </summary>
internal sealed class MembershipDocument
{
    public int Version { get; set; }

    /// <summary>Counts the changes of rows, so that no two versions of a row are ever alike.</summary>
    public long Changes { get; set; }

    public List<Row> Rows { get; set; } = [];

    public static MembershipDocument Parse(ReadOnlySpan<byte> bytes) =>
        bytes.IsEmpty ? new() : JsonSerializer.Deserialize(bytes, MembershipJson.Default.MembershipDocument)!;

    public byte[] Encode() => JsonSerializer.SerializeToUtf8Bytes(this, MembershipJson.Default.MembershipDocument);

    public TableVersion TableVersion => new(Version, Version.ToString(CultureInfo.InvariantCulture));

    public Row? Find(SiloAddress silo)
    {
        string address = silo.ToParsableString();
        return Rows.Find(row => row.Silo == address);
    }

    public MembershipTableData ToTable(Func<Row, bool> isWanted) =>
        new([.. Rows.Where(isWanted).Select(row => Tuple.Create(row.ToEntry(), row.ETag))], TableVersion);

    /// <summary>A silo, or what once was one.</summary>
    internal sealed class Row
    {
        public string Silo { get; set; } = "";

        public SiloStatus Status { get; set; }

        public string HostName { get; set; } = "";

        public string SiloName { get; set; } = "";

        public int GatewayPort { get; set; }

        public DateTime Started { get; set; }

        public DateTime Alive { get; set; }

        public List<Suspicion> Suspected { get; set; } = [];

        /// <summary>Which of all changes this row is from.</summary>
        public long Change { get; set; }

        [JsonIgnore]
        public string ETag => Change.ToString(CultureInfo.InvariantCulture);

        /// <summary>The last sign of this silo's existence, of whatever kind.</summary>
        [JsonIgnore]
        public DateTime LastSign => Suspected.Select(suspicion => suspicion.At).Append(Started).Append(Alive).Max();

        public void Take(MembershipEntry entry, long change)
        {
            Silo = entry.SiloAddress.ToParsableString();
            Status = entry.Status;
            HostName = entry.HostName ?? "";
            SiloName = entry.SiloName ?? "";
            GatewayPort = entry.ProxyPort;
            Started = Utc(entry.StartTime);
            // Whoever suspects a silo writes down a sign of life that may be older than the last one.
            DateTime alive = Utc(entry.IAmAliveTime);
            if (alive > Alive) Alive = alive;
            Suspected = [.. (entry.SuspectTimes ?? []).Select(vote => new Suspicion(vote.Item1.ToParsableString(), Utc(vote.Item2)))];
            Change = change;
        }

        public MembershipEntry ToEntry() => new()
        {
            SiloAddress = SiloAddress.FromParsableString(Silo),
            Status = Status,
            HostName = HostName,
            SiloName = SiloName,
            ProxyPort = GatewayPort,
            StartTime = Started,
            IAmAliveTime = Alive,
            SuspectTimes = [.. Suspected.Select(suspicion => Tuple.Create(SiloAddress.FromParsableString(suspicion.By), suspicion.At))],
        };

        public static DateTime Utc(DateTime time) => DateTime.SpecifyKind(time, DateTimeKind.Utc);
    }

    internal sealed record Suspicion(string By, DateTime At);
}

[JsonSourceGenerationOptions(UseStringEnumConverter = true)]
[JsonSerializable(typeof(MembershipDocument))]
internal sealed partial class MembershipJson : JsonSerializerContext;
