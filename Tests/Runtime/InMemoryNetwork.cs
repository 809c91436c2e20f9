using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Orleans.Runtime.Messaging;

namespace OrleansRedis.Tests.Runtime;

/// <summary>A network in memory, with faults: nodes cut off from each other, delays, connections dropped. Any thread.</summary>
public sealed class InMemoryNetwork(TimeProvider clock)
{
    private readonly ConcurrentDictionary<EndPoint, (string Node, Acceptor Acceptor)> _listeners = new();
    private readonly ConcurrentDictionary<Link, bool> _links = new();
    private readonly ConcurrentDictionary<(string, string), bool> _cuts = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>How long bytes are under way.</summary>
    public TimeSpan Delay { get; set; }

    internal ITransport For(string node) => new Transport(this, node);

    /// <summary>Nothing comes through between two nodes, and neither hears why.</summary>
    public void Cut(string one, string other) => _cuts[Pair(one, other)] = true;

    public void Heal()
    {
        _cuts.Clear();
        Interlocked.Exchange(ref _changed, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }

    /// <summary>Drops the connections of a node.</summary>
    public void Drop(string node)
    {
        foreach (Link link in _links.Keys.Where(link => link.One == node || link.Other == node)) link.Abort();
    }

    private static (string, string) Pair(string one, string other) => string.CompareOrdinal(one, other) < 0 ? (one, other) : (other, one);

    private bool IsCut(string one, string other) => _cuts.ContainsKey(Pair(one, other));

    private async Task Pump(PipeReader from, PipeWriter to, Link link)
    {
        try
        {
            while (true)
            {
                ReadResult result = await from.ReadAsync();
                while (IsCut(link.One, link.Other) && !link.Aborted.IsCancellationRequested)
                {
                    Task changed = _changed.Task;
                    if (IsCut(link.One, link.Other)) await changed.WaitAsync(link.Aborted.Token);
                }

                if (Delay > TimeSpan.Zero) await Task.Delay(Delay, clock, link.Aborted.Token);
                foreach (ReadOnlyMemory<byte> part in result.Buffer) await to.WriteAsync(part, link.Aborted.Token);
                from.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted) break;
            }
        }
        catch (Exception)
        {
            // The link is gone.
        }

        await to.CompleteAsync();
        await from.CompleteAsync();
    }

    private sealed class Transport(InMemoryNetwork network, string node) : ITransport
    {
        public async ValueTask<ConnectionContext> Connect(EndPoint endPoint, CancellationToken cancellation)
        {
            await Task.Yield();
            if (!network._listeners.TryGetValue(endPoint, out (string Node, Acceptor Acceptor) listener)) throw new IOException($"Nobody listens at {endPoint}");
            if (network.IsCut(node, listener.Node)) await Task.Delay(Timeout.InfiniteTimeSpan, network.Clock, cancellation);
            var link = new Link(node, listener.Node);
            network._links[link] = true;
            Pipe[] pipes = [.. Enumerable.Range(0, 4).Select(_ => new Pipe(new PipeOptions(pauseWriterThreshold: 0)))];
            _ = network.Pump(pipes[0].Reader, pipes[1].Writer, link);
            _ = network.Pump(pipes[2].Reader, pipes[3].Writer, link);
            var near = new MemoryConnection(pipes[3].Reader, pipes[0].Writer, link);
            var far = new MemoryConnection(pipes[1].Reader, pipes[2].Writer, link);
            link.Aborted.Token.Register(() => network._links.TryRemove(link, out bool _));
            if (!listener.Acceptor.Queue.Writer.TryWrite(far)) throw new IOException($"Nobody listens at {endPoint}");
            return near;
        }

        public ValueTask<IConnectionListener> Listen(EndPoint endPoint, CancellationToken cancellation)
        {
            var acceptor = new Acceptor(network, endPoint);
            if (!network._listeners.TryAdd(endPoint, (node, acceptor))) throw new IOException($"{endPoint} is in use");
            return new(acceptor);
        }
    }

    private TimeProvider Clock => clock;

    private sealed class Link(string one, string other)
    {
        public string One => one;

        public string Other => other;

        public CancellationTokenSource Aborted { get; } = new();

        public void Abort() => Aborted.Cancel();
    }

    private sealed class Acceptor(InMemoryNetwork network, EndPoint endPoint) : IConnectionListener
    {
        public EndPoint EndPoint => endPoint;

        public Channel<ConnectionContext> Queue { get; } = Channel.CreateUnbounded<ConnectionContext>();

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default) =>
            await Queue.Reader.WaitToReadAsync(cancellationToken) && Queue.Reader.TryRead(out ConnectionContext? connection) ? connection : null;

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            network._listeners.TryRemove(endPoint, out _);
            Queue.Writer.TryComplete();
            return ValueTask.CompletedTask;
        }

        public ValueTask DisposeAsync() => UnbindAsync();
    }

    private sealed class MemoryConnection : ConnectionContext, IDuplexPipe
    {
        private readonly Link _link;

        public MemoryConnection(PipeReader input, PipeWriter output, Link link)
        {
            Input = input;
            Output = output;
            _link = link;
            Transport = this;
            link.Aborted.Token.Register(() => input.CancelPendingRead());
        }

        public PipeReader Input { get; }

        public PipeWriter Output { get; }

        public override IDuplexPipe Transport { get; set; }

        public override string ConnectionId { get; set; } = Guid.NewGuid().ToString("N");

        public override IFeatureCollection Features { get; } = new FeatureCollection();

        public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

        public override void Abort() => _link.Abort();

        public override void Abort(ConnectionAbortedException abortReason) => _link.Abort();

        public override ValueTask DisposeAsync()
        {
            _link.Abort();
            return base.DisposeAsync();
        }
    }
}
