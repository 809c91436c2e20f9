using System.Text;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using OrleansRedis.Engine;

namespace OrleansRedis.Benchmarks;

/// <summary>
/// What a command costs once it is parsed: gate, dispatch, keyspace and reply. "Allocated" must stay at zero for GET,
/// SET of the same size, and INCR.
/// </summary>
[MemoryDiagnoser]
[Config(typeof(ShortRunInProcess))]
public class EngineBenchmarks : IDisposable
{
    private const int Keys = 1 << 16;
    private readonly Store store = new(new ServerOptions(), TimeProvider.System, new CommandTable(typeof(Store).Assembly));
    private readonly Session session = new();
    private readonly RespWriter reply = new();
    private OwnedRequest[] gets = [], sets = [], increments = [];
    private int next;

    [GlobalSetup]
    public void Load()
    {
        for (int number = 0; number < KeySlot.Count; number++)
            store.Slots.Publish(store.Slots.Create(number, epoch: 1));
        gets = [.. Enumerable.Range(0, Keys).Select(i => Request("GET", $"key:{i:D12}"))];
        sets = [.. Enumerable.Range(0, Keys).Select(i => Request("SET", $"key:{i:D12}", new string('x', 32)))];
        increments = [.. Enumerable.Range(0, Keys).Select(i => Request("INCR", $"counter:{i:D8}"))];
        foreach (OwnedRequest request in (OwnedRequest[])[.. sets, .. increments])
            Execute(request);
    }

    [GlobalCleanup]
    public void Dispose()
    {
        store.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark]
    public int Get() => Execute(gets[next++ % Keys]);

    [Benchmark]
    public int SetOfTheSameSize() => Execute(sets[next++ % Keys]);

    [Benchmark]
    public int Increment() => Execute(increments[next++ % Keys]);

    private static OwnedRequest Request(params string[] words) =>
        OwnedRequest.Of([.. words.Select(word => (ReadOnlyMemory<byte>)Encoding.ASCII.GetBytes(word))]);

    private int Execute(OwnedRequest owned)
    {
        Request request = owned.Request;
        reply.Clear();
        CommandContext call = new(store, session, reply)
        {
            Command = store.Commands.Resolve(request)!,
            Request = request,
            NowMs = 1_800_000_000_000
        };
        store.Execute(ref call);
        return reply.Length;
    }

    /// <summary>Runs in process: nothing has to be built first, and allocations are still counted.</summary>
    private sealed class ShortRunInProcess : ManualConfig
    {
        public ShortRunInProcess() => AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance));
    }
}
