using System.Globalization;
using OrleansRedis.Cluster;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Clustering;

/// <summary>Real processes that are the silos of one cluster, each with a directory and ports of its own.</summary>
internal sealed class SiloProcesses : IAsyncDisposable
{
    private readonly List<Place> _places = [];
    private readonly string[] _directives;
    private readonly int _seeds;

    /// <param name="seeds">How many silos begin the cluster.</param>
    /// <param name="directives">What all of them are told besides.</param>
    public SiloProcesses(int seeds, params string[] directives)
    {
        _seeds = seeds;
        _directives = directives;
        while (_places.Count < seeds) AddPlace();
    }

    /// <summary>Those that run.</summary>
    public IEnumerable<RedisProcess> Running => _places.Where(place => place.Process is not null).Select(place => place.Process!);

    public RedisProcess this[int silo] => _places[silo].Process!;

    /// <summary>A machine that is not among the seeds.</summary>
    public int AddPlace()
    {
        string directory = Directory.CreateTempSubdirectory("orleansredis-silo-").FullName;
        _places.Add(new(directory, RedisProcess.FreePort(), RedisProcess.FreeSiloPort()));
        return _places.Count - 1;
    }

    public Task StartAsync() => Task.WhenAll(Enumerable.Range(0, _places.Count).Select(silo => StartAsync(silo)));

    public async Task StartAsync(int silo, params string[] directives)
    {
        Place place = _places[silo];
        string seeds = string.Join(',', _places[.._seeds].Select(seed => $"127.0.0.1:{Text(seed.SiloPort)}"));
        place.Process = await RedisProcess.StartAsync(
            ServerKind.OrleansRedis, place.Directory, place.Port,
            [
                "--orleans-clustering", "raft", "--orleans-seeds", seeds, "--orleans-silo-port", Text(place.SiloPort),
                // So long that no test fails because the machine is busy.
                "--cluster-node-timeout", "15000", .. _directives, .. directives,
            ]);
    }

    public async Task KillAsync(int silo)
    {
        await _places[silo].Process!.KillAsync();
        await ForgetAsync(silo);
    }

    /// <summary>SIGTERM, and waits for the end.</summary>
    public async Task StopAsync(int silo)
    {
        await _places[silo].Process!.TerminateAsync();
        await ForgetAsync(silo);
    }

    public async Task ForgetAsync(int silo)
    {
        await _places[silo].Process!.DisposeAsync();
        _places[silo].Process = null;
    }

    /// <summary>
    /// Waits until those that run share all the slots, as these weights say (equally, if there are none), and all of them
    /// are open.
    /// </summary>
    public async Task ShareSlotsAsync(params int[] weights)
    {
        RedisProcess[] running = [.. Running];
        int total = weights.Length == 0 ? running.Length : weights.Sum();
        string last = "";
        await Eventually.TrueAsync(
            async () =>
            {
                for (int i = 0; i < running.Length; i++)
                {
                    Dictionary<string, string> info = await InfoAsync(running[i]);
                    double share = (double)SlotMap.RedisSlots * (weights.Length == 0 ? 1 : weights[i]) / total;
                    last = $"silo {i} of {running.Length}: {string.Join(' ', info)}";
                    if (info.GetValueOrDefault("orleans_slots_moving") != "0" || info["orleans_slots_assigned"] != Text(SlotMap.RedisSlots)) return false;
                    if (info["orleans_slots_open"] != info["orleans_slots_owned"] || info["orleans_lease"] != "held") return false;
                    if (Math.Abs(int.Parse(info["orleans_slots_owned"], CultureInfo.InvariantCulture) - share) > 1) return false;
                }
                return true;
            },
            () => $"{last}\n{string.Join('\n', running.Select(one => one.Describe()))}");
    }

    /// <summary>Sends a command about a key to the silo that has it, whichever that is by now.</summary>
    public async Task<RespValue> CallAsync(string command, string key, params string[] arguments)
    {
        string last = "";
        for (long giveUpAtMs = Environment.TickCount64 + (long)Eventually.Deadline.TotalMilliseconds; Environment.TickCount64 < giveUpAtMs;)
        {
            foreach (Place place in _places)
            {
                if (place.Process is null) continue;
                try
                {
                    place.Connection ??= await place.Process.ConnectAsync();
                    RespValue reply = await place.Connection.CallAsync([command, key, .. arguments]);
                    if (!reply.IsError || !reply.Text.StartsWith("CLUSTERDOWN", StringComparison.Ordinal)) return reply;
                    last = reply.Text;
                }
                catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
                {
                    last = e.Message;
                    if (place.Connection is not null) await place.Connection.DisposeAsync();
                    place.Connection = null;
                }
            }
        }
        throw new TimeoutException($"Nobody answers {command} {key}: {last}");
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Place place in _places)
        {
            if (place.Connection is not null) await place.Connection.DisposeAsync();
            if (place.Process is not null) await place.Process.DisposeAsync();
            Directory.Delete(place.Directory, recursive: true);
        }
    }

    private static async Task<Dictionary<string, string>> InfoAsync(RedisProcess silo)
    {
        await using RespConnection redis = await silo.ConnectAsync();
        string info = (await redis.CallAsync("INFO", "cluster")).Text;
        return info.Split("\r\n").Select(line => line.Split(':', 2)).Where(field => field.Length == 2).ToDictionary(field => field[0], field => field[1]);
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private sealed class Place(string directory, int port, int siloPort)
    {
        public string Directory { get; } = directory;

        public int Port { get; } = port;

        public int SiloPort { get; } = siloPort;

        public RedisProcess? Process { get; set; }

        public RespConnection? Connection { get; set; }
    }
}
