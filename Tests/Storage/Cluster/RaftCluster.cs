using System.Net;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansRedis.Cluster;
using OrleansRedis.Grains.ClusterStores.Raft;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Storage;

/// <summary>Several members of a store in this process, with real sockets and directories of their own.</summary>
internal sealed class RaftCluster : IAsyncDisposable
{
    public static readonly RaftTimes Times = new(TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(60));

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("orleansredis-raft-");
    private readonly List<IPEndPoint> _addresses = [];
    private readonly Dictionary<int, RaftClusterStore> _running = [];
    private readonly int _seeds;

    public RaftCluster(int seeds)
    {
        _seeds = seeds;
        while (_addresses.Count < seeds) AddAddress();
    }

    public ILoggerFactory Loggers { get; init; } = NullLoggerFactory.Instance;

    public ILogger Logger() => Loggers.CreateLogger("test");

    public string Secret { get; init; } = "a secret";

    public RaftClusterStore this[int member] => _running[member];

    public IEnumerable<RaftClusterStore> Running => _running.Values;

    public int Count => _addresses.Count;

    public IPEndPoint AddressOf(int member) => _addresses[member];

    /// <summary>Another machine, which is not among the seeds.</summary>
    public int AddAddress()
    {
        _addresses.Add(new(IPAddress.Loopback, RedisProcess.FreePort()));
        return _addresses.Count - 1;
    }

    public string DirectoryOf(int member) => Path.Combine(_directory.FullName, $"{member}");

    public RaftSettings SettingsOf(int member) =>
        new(DirectoryOf(member), AddressOf(member), AddressOf(member), _addresses[.._seeds], Secret, "test") { Times = Times };

    public async Task<RaftClusterStore> StartAsync(int member)
    {
        var store = new RaftClusterStore(SettingsOf(member), Loggers);
        _running.Add(member, store);
        await store.OpenAsync(CancellationToken.None);
        return store;
    }

    public async Task StartAsync(params int[] members)
    {
        foreach (int member in members) await StartAsync(member);
    }

    public async Task StopAsync(int member)
    {
        _running.Remove(member, out RaftClusterStore? store);
        await store!.DisposeAsync();
    }

    public async Task StopAllAsync()
    {
        foreach (int member in _running.Keys.ToArray()) await StopAsync(member);
    }

    /// <summary>The disk of a member that does not run is gone.</summary>
    public void LoseDisk(int member) => Directory.Delete(DirectoryOf(member), recursive: true);

    /// <summary>Waits until those who run know these as the members.</summary>
    public Task HasMembersAsync(params int[] members)
    {
        HashSet<IPEndPoint> expected = [.. members.Select(AddressOf)];
        return Eventually.TrueAsync(
            () => _running.Where(pair => members.Contains(pair.Key)).All(pair => expected.SetEquals(pair.Value.Members)),
            () => string.Join('\n', _running.Select(pair => $"{pair.Key} knows {string.Join(' ', pair.Value.Members)}")));
    }

    public async ValueTask DisposeAsync()
    {
        await StopAllAsync();
        _directory.Delete(recursive: true);
    }
}

internal static class ClusterStoreExtensions
{
    /// <summary>Writes what no one else writes, as often as it takes, and returns its version.</summary>
    public static async Task<long> PutAsync(this IClusterStore store, string document, string text)
    {
        while (true)
        {
            try
            {
                StoredDocument now = await store.ReadAsync(document, CancellationToken.None);
                if (now.Version > 0 && Text(now) == text) return now.Version;
                if (await store.TryWriteAsync(document, now.Version, Encoding.UTF8.GetBytes(text), CancellationToken.None)) return now.Version + 1;
            }
            catch (ClusterStoreException)
            {
                // A busy machine may need longer to elect a leader than a request waits.
            }
        }
    }

    public static async Task<string> GetAsync(this IClusterStore store, string document)
    {
        while (true)
        {
            try
            {
                return Text(await store.ReadAsync(document, CancellationToken.None));
            }
            catch (ClusterStoreException)
            {
                // As above.
            }
        }
    }

    private static string Text(StoredDocument document) => Encoding.UTF8.GetString(document.Bytes.Span);
}
