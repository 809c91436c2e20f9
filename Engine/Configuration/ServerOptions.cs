namespace OrleansRedis.Engine;

/// <summary>The directives of redis.conf, with Redis's defaults. Read on hot paths, so plain properties.</summary>
public sealed class ServerOptions
{
    /// <summary>databases: how many logical databases there are.</summary>
    public int Databases { get; set; } = 16;

    /// <summary>lfu-log-factor: how slowly the LFU counter saturates.</summary>
    public int LfuLogFactor { get; set; } = 10;

    /// <summary>lfu-decay-time: minutes after which the LFU counter loses one.</summary>
    public int LfuDecayTime { get; set; } = 1;

    /// <summary>Whether maxmemory-policy is one of the LFU policies, so that access clocks count uses instead of seconds.</summary>
    public bool UsesLfu { get; set; }

    /// <summary>proto-max-bulk-len: the largest bulk string, in bytes.</summary>
    public long ProtoMaxBulkLength { get; set; } = 512L * 1024 * 1024;
}
