using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Orleans.Serialization;

namespace Orleans.Runtime.Messaging;

/// <summary>A connection after its handshake: sends messages in order, in batches, and hands those that arrive to the node. Any thread may send; one loop reads, one writes.</summary>
internal sealed class Connection
{
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);
    private readonly NodeRuntime _runtime;
    private readonly ConnectionContext _transport;
    private readonly Action<Connection, Message> _receive;
    private readonly Action<Message, Exception> _undeliverable;
    private readonly ChannelReader<Message> _outbox;
    private readonly int _maxFrameSizeBytes;

    // The outbox outlives the connection: what was not taken from it can be sent over the next one.
    public Connection(
        NodeRuntime runtime, ConnectionContext transport, ChannelReader<Message> outbox, Action<Connection, Message> receive, Action<Message, Exception> undeliverable)
    {
        _runtime = runtime;
        _transport = transport;
        _outbox = outbox;
        _receive = receive;
        _undeliverable = undeliverable;
        _maxFrameSizeBytes = runtime.MessagingOptions.MaxMessageBodySize + runtime.MessagingOptions.MaxMessageHeaderSize;
    }

    /// <summary>Runs until either end closes the connection. Does not throw.</summary>
    public async Task Run()
    {
        using var closed = new CancellationTokenSource();
        Task reading = Read();
        Task writing = Write(closed.Token);
        Task first = await Task.WhenAny(reading, writing).ConfigureAwait(false);
        // When all is said, the other end reads it to the end and closes.
        if (first == writing && _outbox.Completion.IsCompletedSuccessfully)
            await reading.WaitAsync(Farewell, _runtime.Clock).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await closed.CancelAsync().ConfigureAwait(false);
        _transport.Abort();
        await Task.WhenAll(reading, writing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _transport.DisposeAsync().ConfigureAwait(false);
    }

    public void Abort() => _transport.Abort();

    private async Task Read()
    {
        PipeReader input = _transport.Transport.Input;
        try
        {
            while (true)
            {
                ReadResult result = await input.ReadAsync().ConfigureAwait(false);
                ReadOnlySequence<byte> buffer = result.Buffer;
                while (Frames.TryRead(ref buffer, _maxFrameSizeBytes, out ReadOnlySequence<byte> frame))
                    _receive(this, MessageWire.Read(frame.IsSingleSegment ? frame.First : frame.ToArray(), _runtime));
                if (result.IsCompleted || result.IsCanceled) break;
                input.AdvanceTo(buffer.Start, buffer.End);
            }
        }
        finally
        {
            await input.CompleteAsync().ConfigureAwait(false);
        }
    }

    private async Task Write(CancellationToken closed)
    {
        PipeWriter output = _transport.Transport.Output;
        var writer = new WireWriter();
        try
        {
            while (await _outbox.WaitToReadAsync(closed).ConfigureAwait(false))
            {
                while (writer.Length < 64 * 1024 && _outbox.TryRead(out Message? message)) Serialize(writer, message);
                if (writer.Length == 0) continue;
                output.Write(writer.Written);
                writer.Reset();
                FlushResult result = await output.FlushAsync(closed).ConfigureAwait(false);
                if (result.IsCompleted) return;
            }
        }
        finally
        {
            await output.CompleteAsync().ConfigureAwait(false);
        }
    }

    private void Serialize(WireWriter writer, Message message)
    {
        try
        {
            MessageWire.Write(writer, message, _runtime.Clock);
        }
        catch (Exception exception)
        {
            if (message.Kind == MessageKind.Response)
            {
                // The caller learns that its result could not be sent.
                message.Kind = MessageKind.Error;
                message.Error = exception is SerializerException ? exception : new SerializerException(exception.Message, exception);
                MessageWire.Write(writer, message, _runtime.Clock);
                return;
            }

            if (message.Call is { } call) call.Fail(exception);
            else _undeliverable(message, exception);
        }
    }
}
