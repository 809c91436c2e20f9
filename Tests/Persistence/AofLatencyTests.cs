using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>LATENCY: what the disk takes is noted, by what it was for.</summary>
public sealed class AofLatencyTests
{
    [Theory]
    [InlineData(AppendFsync.Everysec, "aof-write aof-write-alone")]
    [InlineData(AppendFsync.Always, "aof-fsync-always aof-write aof-write-alone")]
    public void A_slow_disk_is_noted(AppendFsync policy, string kinds)
    {
        using var redis = new AofHarness(
            options =>
            {
                options.AppendFsync = policy;
                options.LatencyMonitorThreshold = 1;
                options.SlowlogLogSlowerThan = -1;
            },
            wrap: (_, file) => new SlowFile(file));
        redis.Run("SET", "k", "v");
        redis.Log.Flush();
        IEnumerable<string> noted = redis.Store.Latency.Events().Select(series => series.Kind);
        Assert.Equal(kinds, string.Join(' ', noted.Where(kind => kind.StartsWith("aof-", StringComparison.Ordinal)).Order()));
    }

    /// <summary>Every write and sync takes longer than the threshold.</summary>
    private sealed class SlowFile(ILogFile file) : ILogFile
    {
        private static readonly TimeSpan s_time = TimeSpan.FromMilliseconds(3);

        public long Length => file.Length;

        public void Write(ReadOnlySpan<byte> bytes, long offset)
        {
            Thread.Sleep(s_time);
            file.Write(bytes, offset);
        }

        public void Truncate(long length) => file.Truncate(length);

        public void Sync()
        {
            Thread.Sleep(s_time);
            file.Sync();
        }

        public void Dispose() => file.Dispose();
    }
}
