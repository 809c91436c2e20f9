using System.Buffers;
using System.IO.Pipelines;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>Sending. Replies gather in the reply writer; one send at a time is under way, and the next takes all that has gathered meanwhile.</summary>
public sealed partial class ClientConnection
{
    /// <summary>What is handed to the transport at once; also when replies gather to this, they are sent before more requests are run.</summary>
    private const int ChunkBytes = 64 * 1024;

    private Task _sending = Task.CompletedTask;
    private long _sendingBytes;

    /// <summary>Starts to send what has gathered, unless a send is under way: then the loop does it when that has ended.</summary>
    private void Send()
    {
        if (!_sending.IsCompleted)
        {
            EnforceOutputLimit();
            return;
        }
        _sending.GetAwaiter().GetResult(); // a failed send ends the connection
        _statistics.OutputBytes += _reply.Length;
        if (_reply.Length > ChunkBytes)
        {
            _sending = SendLargeAsync(_reply.Detach());
            return;
        }
        _output.Write(_reply.Written);
        _reply.Clear();
        ValueTask<FlushResult> flush = _output.FlushAsync();
        if (!flush.IsCompletedSuccessfully) _sending = flush.AsTask();
    }

    private async Task SendAllAsync()
    {
        while (_reply.Length != 0)
        {
            await _sending.ConfigureAwait(false);
            _statistics = _server.CommandStatistics.Mine;
            Send();
        }
        await _sending.ConfigureAwait(false);
    }

    /// <summary>Waits for input, and sends on as the client takes what was sent before.</summary>
    private async Task<ReadResult> ReadWhileSendingAsync(Task<ReadResult> reading)
    {
        while (!reading.IsCompleted && _reply.Length != 0)
        {
            await Task.WhenAny(reading, _sending).ConfigureAwait(false);
            _statistics = _server.CommandStatistics.Mine;
            if (_sending.IsCompleted) Send();
        }
        return await reading.ConfigureAwait(false);
    }

    private async Task SendLargeAsync(ReadOnlyMemory<byte> bytes)
    {
        _sendingBytes = bytes.Length;
        try
        {
            while (!bytes.IsEmpty)
            {
                ReadOnlyMemory<byte> chunk = bytes[..Math.Min(ChunkBytes, bytes.Length)];
                FlushResult flushed = await _output.WriteAsync(chunk).ConfigureAwait(false);
                if (flushed.IsCompleted) return;
                bytes = bytes[chunk.Length..];
                _sendingBytes = bytes.Length;
            }
        }
        finally
        {
            _sendingBytes = 0;
        }
    }

    private void EnforceOutputLimit()
    {
        OutputLimit limit = _server.Options.NormalOutputLimit;
        if (!limit.IsExceeded(PendingOutputBytes, _server.Store.Clock.NowMs, ref _overSoftLimitSinceMs)) return;
        Log.OutputBufferLimit(_server.Logger, Id, PendingOutputBytes);
        Kill();
    }

    private long _overSoftLimitSinceMs;
}
