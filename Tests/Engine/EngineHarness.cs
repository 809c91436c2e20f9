using System.Globalization;
using System.Text;
using OrleansRedis.Engine;
using Store = OrleansRedis.Engine.Store;

namespace OrleansRedis.Tests;

/// <summary>
/// The engine without sockets or grains. Every slot is published, the test advances the clock, and the effects of
/// writes are recorded. Text goes in and out as Latin-1, so that any byte can be written, such as "\xff".
/// <code>
/// using var redis = new EngineHarness();
/// Assert.Equal("OK", redis.Run("SET", "k", "v"));
/// Assert.Equal(["SET k v"], redis.TakeEffects());
/// </code>
/// </summary>
internal sealed class EngineHarness : IDisposable
{
    private static readonly CommandTable s_commands = new(typeof(Store).Assembly);

    private readonly Recorder _recorder;
    private readonly EngineClient _default;

    public EngineHarness(Action<ServerOptions>? configure = null)
        : this(new ServerConfiguration(Configured(configure)))
    {
    }

    /// <param name="configuration">The directives, and the file that they were read from.</param>
    public EngineHarness(ServerConfiguration configuration)
    {
        Store = new Store(configuration.Options, Time, s_commands);
        Files = new ServerFiles(Store, configuration);
        Runner = new CommandRunner(Store, Router);
        for (int number = 0; number < KeySlot.Count; number++) Store.Slots.Publish(Store.Slots.Create(number, epoch: 1));
        _recorder = new(Store.Effects.Log);
        Store.Effects.KeyEvents = _recorder;
        _default = new EngineClient(this);
    }

    private static ServerOptions Configured(Action<ServerOptions>? configure)
    {
        var options = new ServerOptions { Save = new() };
        configure?.Invoke(options);
        return options;
    }

    /// <summary>All commands of the engine.</summary>
    public static CommandTable Commands => s_commands;

    public FakeTime Time { get; } = new();

    public Store Store { get; }

    public ServerFiles Files { get; }

    /// <summary>Runs the commands of all clients.</summary>
    public CommandRunner Runner { get; }

    /// <summary>Asked about slots that a test has withdrawn.</summary>
    public HarnessRouter Router { get; } = new();

    public long NowMs => Time.NowMs;

    /// <summary>The session of <see cref="Run"/>.</summary>
    public EngineClient Client => _default;

    /// <summary>Every effect since the harness was made, or since <see cref="TakeEffects"/>.</summary>
    public IReadOnlyList<RecordedEffect> Effects => _recorder.Effects;

    /// <summary>Another session.</summary>
    public EngineClient NewClient(bool resp3 = false) => new(this, resp3);

    /// <summary>Runs a command and returns its parsed reply; see <see cref="Replies"/>.</summary>
    public object? Run(params string[] arguments) => _default.Run(arguments);

    /// <summary>
    /// Runs a command written as one line, its words separated by blanks, and shows its reply as
    /// <see cref="Replies.Show"/> does.
    /// </summary>
    public string Show(string line) => _default.Show(line);

    /// <summary>Runs a command and returns the bytes of its reply.</summary>
    public string Raw(params string[] arguments) => _default.Raw(arguments);

    /// <summary>The effects so far, as "NAME key argument…" without their slot; forgets them.</summary>
    public string[] TakeEffects() => [.. _recorder.TakeEffects().Select(effect => effect.ToString())];

    /// <summary>Forgets the effects so far without reading them: for tests that make very many.</summary>
    public void ForgetEffects() => _recorder.ForgetEffects();

    /// <summary>The events so far, as "name key", followed by " @db" in databases other than 0; forgets them.</summary>
    public string[] TakeEvents() => _recorder.TakeEvents();

    /// <summary>
    /// Another engine, set to the same time, to which all effects recorded so far have been applied. They must apply
    /// without an error.
    /// </summary>
    public EngineHarness Replay()
    {
        var copy = new EngineHarness();
        ReplayInto(copy);
        return copy;
    }

    /// <summary>
    /// Applies all effects recorded so far to another engine, and moves its clock to this one's time. They must apply
    /// without an error.
    /// </summary>
    public void ReplayInto(EngineHarness copy) => ReplayInto(copy, _recorder.Effects);

    /// <summary>
    /// Applies the effects recorded since the last call, or since <see cref="TakeEffects"/>, to another engine; as
    /// <see cref="ReplayInto(EngineHarness)"/> does.
    /// </summary>
    public void ReplayNewInto(EngineHarness copy) => ReplayInto(copy, _recorder.TakeEffects());

    private void ReplayInto(EngineHarness copy, IReadOnlyList<RecordedEffect> effects)
    {
        copy.Time.Advance(NowMs - copy.NowMs);
        copy.Store.IgnoresExpiry = true; // the effects say what expires
        foreach (RecordedEffect effect in effects)
        {
            if (effect.IsShare) continue; // together the shares are the whole command
            copy._default.Session.Database = effect.Database;
            object? reply = copy._default.Run(effect.Words);
            if (reply is RespError) throw new InvalidOperationException($"The effect '{effect}' replied {reply}.");
        }
        copy._default.Session.Database = 0;
        copy.Store.IgnoresExpiry = false;
    }

    public void Dispose()
    {
        Runner.Dispose();
        Files.Dispose();
        Store.Dispose();
        Store.Slots.Free();
    }

    private sealed class Recorder : IKeyEventConsumer
    {
        private readonly Lock _lock = new();
        private readonly LogReader _reader;
        private readonly LogBytes _bytes = new();
        private readonly List<ReadOnlyMemory<LoggedEffect>> _runs = [];
        private List<RecordedEffect> _effects = [];
        private List<string> _events = [];
        private long _read;

        public Recorder(ReplicationLog log)
        {
            _reader = new(log, readsEffects: true);
            _read = _reader.Follow();
        }

        public IReadOnlyList<RecordedEffect> Effects
        {
            get
            {
                lock (_lock)
                {
                    Read();
                    return [.. _effects];
                }
            }
        }

        public void OnKeyEvent(KeyEvents kind, ReadOnlySpan<byte> name, ReadOnlySpan<byte> key, int database)
        {
            // "new" and "keymiss" are off unless asked for by letter, and most tests are not about them.
            if (kind is KeyEvents.New or KeyEvents.KeyMiss) return;
            string text = $"{Encoding.Latin1.GetString(name)} {Encoding.Latin1.GetString(key)}";
            lock (_lock) _events.Add(database == 0 ? text : $"{text} @{database.ToString(CultureInfo.InvariantCulture)}");
        }

        public List<RecordedEffect> TakeEffects()
        {
            lock (_lock)
            {
                Read();
                List<RecordedEffect> taken = _effects;
                _effects = [];
                return taken;
            }
        }

        public void ForgetEffects()
        {
            lock (_lock)
            {
                _effects = [];
                _reader.Release(_read = _reader.Log.Appended);
            }
        }

        private void Read()
        {
            _reader.CollectEffects(_read, int.MaxValue, _runs);
            if (_runs.Count == 0) return;
            long end = _runs[^1].Span[^1].UnitEnd;
            _bytes.Collect(_reader, _read, end);
            foreach (ReadOnlyMemory<LoggedEffect> run in _runs)
            {
                foreach (LoggedEffect effect in run.Span)
                {
                    byte[] bytes = new byte[effect.Length];
                    _bytes.CopyTo(effect.Position, bytes);
                    var frame = new Replies(bytes);
                    string[] words = [.. ((object?[])frame.Next()!).Select(word => (string)word!)];
                    if (!frame.AtEnd) throw new InvalidOperationException($"The effect {string.Join(' ', words)} is followed by stray bytes.");
                    _effects.Add(new(effect.UnitEnd, effect.Slot, effect.Epoch, effect.Sequence, effect.Database, words, effect.IsShare));
                }
            }
            _reader.Release(_read = end);
        }

        public string[] TakeEvents()
        {
            lock (_lock)
            {
                string[] taken = [.. _events];
                _events = [];
                return taken;
            }
        }
    }
}

/// <summary>One effect as a reader of the log saw it. Effects of one unit have the same unit number.</summary>
internal sealed record RecordedEffect(long Unit, int Slot, long Epoch, long Sequence, int Database, string[] Words, bool IsShare = false)
{
    public override string ToString() => string.Join(' ', Words);
}

/// <summary>A session with an <see cref="EngineHarness"/>; used by one thread at a time.</summary>
internal sealed class EngineClient(EngineHarness redis, bool resp3 = false)
{
    private readonly RespWriter _reply = new() { Resp3 = resp3 };

    public Session Session { get; } = new();

    /// <summary>Tries to run a command once, and returns how the attempt ended.</summary>
    public Outcome Try(params string[] arguments) => Try(arguments, isAside: false);

    /// <summary>The same for a command that may take long, in the gates of such.</summary>
    public Outcome TryAside(params string[] arguments) => Try(arguments, isAside: true);

    private Outcome Try(string[] arguments, bool isAside)
    {
        _reply.Clear();
        OwnedRequest request = Request(arguments);
        CommandInfo command = EngineHarness.Commands.Resolve(request.Request)!;
        var call = new CommandContext(redis.Store, Session, _reply) { Command = command, Request = request.Request, NowMs = redis.NowMs };
        return (isAside ? redis.Store.ExecuteLong(ref call) : redis.Store.Execute(ref call)).Outcome;
    }

    /// <summary>Runs a command, waits for it if it blocks, and returns its parsed reply.</summary>
    public object? Run(params string[] arguments) => RunAsync(arguments).GetAwaiter().GetResult();

    /// <inheritdoc cref="EngineHarness.Show"/>
    public string Show(string line) => Replies.Show(Run(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)));

    /// <summary>Runs a command and returns the bytes of its reply.</summary>
    public string Raw(params string[] arguments)
    {
        ExecuteAsync(arguments).GetAwaiter().GetResult();
        return Encoding.Latin1.GetString(_reply.Written);
    }

    /// <summary>Runs a command that may block: the task completes with its parsed reply.</summary>
    public async Task<object?> RunAsync(params string[] arguments)
    {
        await ExecuteAsync(arguments);
        return Parse();
    }

    private object? Parse()
    {
        var replies = new Replies(_reply.Written);
        object? reply = replies.Next();
        if (!replies.AtEnd) throw new InvalidOperationException($"More than one reply: {Encoding.Latin1.GetString(_reply.Written)}");
        return reply;
    }

    /// <summary>Runs a command as a connection does, but does not wait for the log.</summary>
    private Task ExecuteAsync(string[] arguments)
    {
        _reply.Clear();
        OwnedRequest request = Request(arguments);
        return redis.Runner.FinishAsync(Session, EngineHarness.Commands.Resolve(request.Request), request, former: null, _reply, CancellationToken.None);
    }

    private static OwnedRequest Request(string[] arguments) =>
        OwnedRequest.Of([.. arguments.Select(argument => (ReadOnlyMemory<byte>)Encoding.Latin1.GetBytes(argument))]);
}

/// <summary>Says where the slots are that a test has withdrawn: nowhere, unless the test brings them back.</summary>
internal sealed class HarnessRouter : ISlotRouter
{
    /// <summary>
    /// Called with the slot's number when a command needs it; returns whether the slot is here afterwards.
    /// </summary>
    public Func<int, bool> Bring { get; set; } = _ => false;

    public SlotRoute Locate(int slot) => default;

    public ValueTask<SlotRoute> ResolveAsync(int slot, CancellationToken cancellation) => new(new SlotRoute(Bring(slot) ? SlotPlace.Here : SlotPlace.Nowhere));
}
