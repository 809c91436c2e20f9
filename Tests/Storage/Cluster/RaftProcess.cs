using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;
using Microsoft.Extensions.Logging;
using OrleansRedis.Cluster;
using OrleansRedis.Grains.ClusterStores.Raft;
using OrleansRedis.Tests.Harness;

namespace OrleansRedis.Tests.Storage;

/// <summary>
/// A member of a store in a process of its own, to be killed. It is asked by lines: an identifier, "read", "write" or
/// "members", and for a write the expected version and the bytes; and answers each with a line that begins with the
/// identifier.
/// </summary>
internal sealed class RaftProcess : IAsyncDisposable
{
    private readonly ClientProgram _program;
    private readonly ConcurrentDictionary<int, TaskCompletionSource<string[]>> _asked = new();
    private readonly Task _reading;
    private int _last;

    private RaftProcess(ClientProgram program)
    {
        _program = program;
        _reading = Task.Run(ReadAsync);
    }

    public static RaftProcess Start(string directory, IPEndPoint self, IEnumerable<IPEndPoint> seeds) => new(OwnProcess.Start(
        Serve, $"RAFT_DIRECTORY={directory}", $"RAFT_SELF={self}", $"RAFT_SEEDS={string.Join(' ', seeds)}"));

    /// <summary>Everything that it has written.</summary>
    public string Output => _program.Output;

    /// <summary>Null if it does not answer, be it that it cannot or that it is dead.</summary>
    public async Task<(long Version, string Text)?> ReadAsync(string name) =>
        await AskAsync($"read {name}") is ["document", var version, .. var text]
            ? (long.Parse(version, CultureInfo.InvariantCulture), string.Join(' ', text))
            : null;

    /// <summary>Null if it does not answer, and then nobody knows whether it has written.</summary>
    public async Task<bool?> WriteAsync(string name, long expected, string text) =>
        await AskAsync($"write {name} {expected} {text}") is ["write", var isWritten] ? bool.Parse(isWritten) : null;

    /// <summary>How many members it knows; 0 if it is none itself, or does not answer.</summary>
    public async Task<int> MembersAsync() =>
        await AskAsync("members") is ["members", var count] ? int.Parse(count, CultureInfo.InvariantCulture) : 0;

    /// <summary>Stops it where it is, or lets it go on: STOP or CONT.</summary>
    public Task SignalAsync(string signal) =>
        ClientProgram.RunAsync("kill", $"-{signal}", _program.ProcessId.ToString(CultureInfo.InvariantCulture));

    /// <summary>Kills it (SIGKILL), at whatever it is doing.</summary>
    public async ValueTask DisposeAsync()
    {
        await _program.DisposeAsync();
        await _reading;
    }

    private async Task<string[]> AskAsync(string question)
    {
        int number = Interlocked.Increment(ref _last);
        var answer = new TaskCompletionSource<string[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        _asked[number] = answer;
        try
        {
            await _program.WriteAsync($"{number} {question}\n");
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            return [];
        }
        if (_reading.IsCompleted) return [];
        return await answer.Task;
    }

    private async Task ReadAsync()
    {
        int taken = 0;
        while (true)
        {
            bool hasExited = _program.HasEnded;
            string output = _program.Output;
            for (int end; (end = output.IndexOf('\n', taken)) >= 0; taken = end + 1)
            {
                string[] words = output[taken..end].Split(' ');
                if (!int.TryParse(words[0], CultureInfo.InvariantCulture, out int number)) continue; // a line of its log
                if (_asked.TryRemove(number, out TaskCompletionSource<string[]>? answer)) answer.TrySetResult(words[1..]);
            }
            if (hasExited) break;
            await Task.Delay(5);
        }
        foreach (TaskCompletionSource<string[]> unanswered in _asked.Values) unanswered.TrySetResult([]);
    }

    private static void Serve()
    {
        string Of(string variable) => Environment.GetEnvironmentVariable(variable)!;
        IPEndPoint self = IPEndPoint.Parse(Of("RAFT_SELF"));
        var settings = new RaftSettings(
            Of("RAFT_DIRECTORY"), self, self, [.. Of("RAFT_SEEDS").Split(' ').Select(IPEndPoint.Parse)], "secret", "processes")
        {
            Times = RaftCluster.Times,
        };
        using ILoggerFactory loggers = LoggerFactory.Create(logging => logging.AddProvider(new Lines()));
        var store = new RaftClusterStore(settings, loggers);
        store.OpenAsync(CancellationToken.None).GetAwaiter().GetResult();
        while (Console.ReadLine() is { } line)
            _ = Task.Run(async () => Console.WriteLine(await AnswerAsync(store, self, line.Split(' '))));
    }

    private static async Task<string> AnswerAsync(RaftClusterStore store, IPEndPoint self, string[] words)
    {
        try
        {
            if (words[1] == "members") return $"{words[0]} members {(store.Members.Contains(self) ? store.Members.Count : 0)}";
            if (words[1] == "read")
            {
                StoredDocument document = await store.ReadAsync(words[2], CancellationToken.None);
                return $"{words[0]} document {document.Version} {Encoding.UTF8.GetString(document.Bytes.Span)}";
            }
            byte[] bytes = Encoding.UTF8.GetBytes(string.Join(' ', words[4..]));
            bool isWritten = await store.TryWriteAsync(words[2], long.Parse(words[3], CultureInfo.InvariantCulture), bytes, CancellationToken.None);
            return $"{words[0]} write {isWritten}";
        }
        catch (Exception e)
        {
            return $"{words[0]} failed {e.Message}";
        }
    }

    private sealed class Lines : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void Dispose()
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Console.WriteLine($"{DateTime.UtcNow:HH:mm:ss.fff} {logLevel}: {formatter(state, exception)} {exception}");
    }
}
