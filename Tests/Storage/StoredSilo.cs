using OrleansRedis.Engine;
using OrleansRedis.Grains;
using OrleansRedis.Grains.Storage;
using OrleansRedis.Tests.Harness;
using Store = OrleansRedis.Engine.Store;

namespace OrleansRedis.Tests.Storage;

/// <summary>
/// A store of slots with a journal behind it, without grains and sockets. What a test runs is stored, and the next silo
/// recovers it.
/// </summary>
internal sealed class StoredSilo : IAsyncDisposable
{
    private readonly RespWriter _reply = new();
    private readonly Session _session = new();
    private readonly CommandRunner _runner;

    private StoredSilo(ISlotStorage storage, Action<ServerOptions>? configure)
    {
        var options = new ServerOptions { Save = new(), AppendFsync = AppendFsync.Always };
        configure?.Invoke(options);
        Store = new Store(options, TimeProvider.System, EngineHarness.Commands);
        Files = new ServerFiles(Store, new ServerConfiguration(options));
        _runner = new CommandRunner(Store, new HarnessRouter());
        Slots = new StoredSlots(Store, storage, EngineHarness.Commands);
        Host = new SlotHost(Store, Slots);
        Store.Log.Writer = (_, line) =>
        {
            lock (Log) Log.Add(line);
        };
    }

    public Store Store { get; }

    public ServerFiles Files { get; }

    public StoredSlots Slots { get; }

    public SlotHost Host { get; }

    public SlotJournal Journal => Slots.Journal!;

    public List<string> Log { get; } = [];

    /// <summary>Starts, then opens and publishes the slots; all slots if none is given.</summary>
    public static async Task<StoredSilo> StartAsync(ISlotStorage storage, int[]? slots = null, Action<ServerOptions>? configure = null)
    {
        var silo = new StoredSilo(storage, configure);
        await silo.Slots.StartAsync(default);
        await silo.Host.TakeAsync(slots ?? [.. Enumerable.Range(0, KeySlot.Count)], default);
        return silo;
    }

    /// <summary>Runs a command as a connection does, but does not wait for it to be stored.</summary>
    public object? Run(params string[] words)
    {
        OwnedRequest request = OwnedRequest.Of([.. words.Select(word => (ReadOnlyMemory<byte>)System.Text.Encoding.Latin1.GetBytes(word))]);
        _reply.Clear();
        var call = new CommandContext(Store, _session, _reply)
        {
            Command = EngineHarness.Commands.Resolve(request.Request)!,
            Request = request.Request,
            NowMs = Store.Clock.NowMs
        };
        if (_runner.Admission.Admit(call.Command, call.Request, _session, _reply, out _) != Verdict.Admitted) return new Replies(_reply.Written).Next();
        Attempt attempt = Store.Execute(ref call);
        if (attempt.Outcome == Outcome.NeedsExclusive) Store.ExecuteExclusively(ref call);
        else if (attempt.Outcome != Outcome.Done) return attempt.ToString();
        return new Replies(_reply.Written).Next();
    }

    /// <summary>Runs a command and waits until its reply may be sent.</summary>
    public async Task<object?> RunStoredAsync(params string[] words)
    {
        long since = Journal.Appended;
        object? reply = Run(words);
        await Journal.WhenCommitted(since, Journal.Appended).WaitAsync(Eventually.Deadline);
        return reply;
    }

    public string Digest() => KeyspaceDigest.OfAll(Store.Slots);

    public async ValueTask DisposeAsync()
    {
        using var soon = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
        await Slots.StopAsync(soon.Token);
        Host.Dispose();
        if (Slots.Journal is not null) await Slots.Journal.DisposeAsync(); // the storage belongs to the test
        Files.Dispose();
        Store.Dispose();
    }
}
