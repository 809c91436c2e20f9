using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Sending. Replies gather in the reply writer. One send is under way at a time; the next takes all that has gathered
/// meanwhile.
/// </summary>
public sealed partial class ClientConnection
{
    /// <summary>
    /// The most handed to the transport at once. When replies reach this size, they are sent before more requests are
    /// run, unless the client's output is limited.
    /// </summary>
    private const int ChunkBytes = 64 * 1024;

    /// <summary>
    /// As long as a reply writer is not larger than this, it gathers what cannot be sent yet. Then its buffer joins a
    /// queue, so that the replies to a pipeline may be larger than a buffer can be.
    /// </summary>
    private const int MostGathered = 64 * 1024 * 1024;

    /// <summary>The size of redis-server's fixed buffer for replies, which does not count against the limits.</summary>
    private const int UnlimitedBytes = 16 * 1024;

    /// <summary>
    /// Whoever has not authenticated gets errors alone, and cannot have the server keep them (CVE-2025-21605).
    /// </summary>
    private static readonly OutputLimit s_strangers = new(1024, 0, 0);

    /// <summary>A reply buffer does not become smaller than this, as in Redis.</summary>
    private const int LeastReplyRoom = 1024;

    private Task _sending = Task.CompletedTask;
    private long _sendingBytes;     // while _sending is under way
    private long _queuedBytes;      // what _sending sends after that
    private long _bytesOut;         // all that was ever given to _sending
    private IDurability? _waitsFor; // the log, while replies wait for it

    // Position of the log before the first of the commands whose replies have gathered; -1 if none of them concerns the
    // data.
    private long _since = -1;

    // Of the replies that have gathered while replies wait for the log: whether any is to a command that may have
    // changed something; and how many, of how many bytes, are to commands that only read.
    private bool _hasWrites;
    private int _reads;
    private int _readBytes;

    // The most that was sent at once of late. Housekeeping resets it now and then: if that loses what the loop notes at
    // the same moment, the buffer may become too small, and grows again.
    private int _replyPeak;
    private long _replyPeakSinceMs; // only Housekeeping touches it
    private int _replyRoom;         // the same: the buffer's size when it last looked

    private long SendingBytes => _sending.IsCompleted ? _output.UnflushedBytes : Volatile.Read(ref _sendingBytes) + Volatile.Read(ref _queuedBytes);

    /// <summary>
    /// Starts to send what has gathered. If a send is under way, the loop does it once that has ended.
    /// </summary>
    private void Send() => Send(_reply, ref _since);

    private void Send(RespWriter written, ref long since)
    {
        int length = written.Length;
        if (length > _replyPeak) _replyPeak = length;
        if (_server.Store.Lease is { } lease && !MayAnswer(lease)) Kill();
        // At once, as redis-server does, however fast the client reads.
        if (length > UnlimitedBytes || !_sending.IsCompleted) EnforceOutputLimit();
        if (_killed)
        {
            written.Clear();
            return;
        }
        if (!_sending.IsCompleted)
        {
            if (length > MostGathered) Queue(written, ref since);
            return;
        }
        _sending.GetAwaiter().GetResult(); // a failed send ends the connection
        _statistics.OutputBytes += length;
        _statistics.Writes++;
        _bytesOut += length;
        if (_server.Store.Durability is { } log && HoldsBack(log, written, ref since)) return;
        if (length > ChunkBytes)
        {
            byte[] large = written.Detach(out _);
            _sending = SendInPiecesAsync(large, length);
            return;
        }
        ValueTask<FlushResult> flush = _output.WriteAsync(written.WrittenMemory);
        written.Clear(); // what was not sent was copied
        if (flush.IsCompletedSuccessfully) return;
        _sendingBytes = length;
        _sending = flush.AsTask();
    }

    /// <summary>Has what is written sent after what is being sent, without waiting for that.</summary>
    private void Queue(RespWriter written, ref long logBefore)
    {
        Task committed = Task.CompletedTask;
        if (_server.Store.Durability is { } log)
        {
            if (log.IsBehind) committed = ((ICommittingLog)log).WhenCommitted();
            else if (logBefore >= 0 && log.Appended is var position && log.Committed < position) committed = log.WhenCommitted(logBefore, position);
            logBefore = -1;
        }
        if (written == _reply) ForgetReads();
        byte[] bytes = written.Detach(out int length);
        _statistics.OutputBytes += length;
        _statistics.Writes++;
        _bytesOut += length;
        Interlocked.Add(ref _queuedBytes, length);
        _sending = SendAfterAsync(_sending, committed, bytes, length);
    }

    private async Task SendAfterAsync(Task before, Task committed, byte[] bytes, int length)
    {
        await before.ConfigureAwait(false);
        Interlocked.Add(ref _queuedBytes, -length);
        _sendingBytes = length;
        await SendWhenCommittedAsync(committed, bytes, length).ConfigureAwait(false);
    }

    /// <summary>
    /// Notes the log's position before a command runs, if its reply must wait until the log is durable. To be called
    /// before every command while replies wait for the log.
    /// </summary>
    private void Rely(IDurability log, CommandInfo? command)
    {
        if (command is null || !ConcernsData(command)) return;
        if (_since < 0) _since = log.Appended;
        _hasWrites |= (FlagsOf(command) & CommandFlags.Write) != 0;
    }

    /// <summary>
    /// Counts a reply that was just written, if all that its command did was to read. To be called while replies wait
    /// for the log.
    /// </summary>
    private void CountRead(CommandInfo command, int mark)
    {
        if (!command.Is(CommandFlags.ReadOnly) || ReplyMode != ReplyMode.On) return;
        _reads++;
        _readBytes += _reply.Length - mark;
    }

    /// <summary>Whether the replies must wait until the log is durable. If so, they are sent after that.</summary>
    private bool HoldsBack(IDurability log, RespWriter written, ref long logBefore)
    {
        long since = logBefore;
        // Of what was set aside it is not known, so that it waits.
        bool hasWrites = written != _reply || _hasWrites;
        int length = written.Length, reads = written == _reply && _readBytes == length ? _reads : 0;
        if (written == _reply) ForgetReads();
        if (since < 0)
        {
            return log.IsBehind && WaitsForWrite((ICommittingLog)log, written);
        }
        logBefore = -1;
        // Whatever the commands did or saw was appended before they released their gates.
        long position = log.Appended;
        if (log.Committed >= position) return false;
        byte[] held = LargeBuffers.Rent(length);
        written.Written.CopyTo(held);
        written.Clear();
        _sendingBytes = length;
        var local = log as ICommittingLog;
        if (local is not null && length <= ChunkBytes && _transport is EpollConnection connection)
            _sending = connection.Hold(new(_output) { Log = local, Position = position, Bytes = held, Length = length, HasWrites = hasWrites, Reads = reads });
        else if (local is not null && !hasWrites)
            _sending = SendWhenCommittedAsync(CommittedAsync(local, position), held, length);
        else
            _sending = SendWhenCommittedAsync(log.WhenCommitted(since, position), held, length);
        return true;
    }

    /// <summary>
    /// Has the replies leave once the log's bytes are with the operating system. True if they are sent then; false if
    /// they are to be sent now, since the transport keeps them until then or they need not wait any more.
    /// </summary>
    private bool WaitsForWrite(ICommittingLog log, RespWriter written)
    {
        if (written.Length <= ChunkBytes && _transport is EpollConnection { IsOnLoop: true } connection)
        {
            connection.Defer(log);
            return false;
        }
        Task committed = log.WhenCommitted();
        if (committed.IsCompleted) return false;
        byte[] bytes = written.Detach(out int length);
        _sendingBytes = length;
        _sending = SendWhenCommittedAsync(committed, bytes, length);
        return true;
    }

    private void ForgetReads()
    {
        _hasWrites = false;
        _reads = _readBytes = 0;
    }

    private static async Task CommittedAsync(ICommittingLog log, long position)
    {
        if (!await log.TryWhenCommitted(position).ConfigureAwait(false)) throw new IOException(log.WriteError);
    }

    private async Task SendWhenCommittedAsync(Task committed, byte[] held, int length)
    {
        try
        {
            await committed.ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            // The change may or may not survive, so the client must not be told either.
            Kill();
            throw new ConnectionAbortedException("What the replies tell of could not be made durable.", failure);
        }
        await SendInPiecesAsync(held, length).ConfigureAwait(false);
    }

    /// <summary>
    /// Sends the last replies, at the client's pace. Letters are left unread, since what they write would follow the
    /// last reply. If the client is killed during a send, that send is abandoned; it ends by itself.
    /// </summary>
    private async Task SendAllAsync()
    {
        while (!_killed)
        {
            if (!_sending.IsCompleted)
            {
                await Task.WhenAny(_sending, _mailbox.WhenRung()).ConfigureAwait(false);
            }
            else if (_reply.Length != 0)
            {
                _statistics = _server.CommandStatistics.Mine;
                Send();
            }
            else
            {
                await _sending.ConfigureAwait(false);
                return;
            }
        }
    }

    /// <summary>Waits for input, and keeps sending as the client takes what was sent before.</summary>
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

    /// <summary>
    /// Sends a buffer of <see cref="LargeBuffers"/> in pieces, so that what the client does not take in time is in
    /// memory only once.
    /// </summary>
    private async Task SendInPiecesAsync(byte[] bytes, int length)
    {
        try
        {
            for (int sent = 0; sent < length; sent += ChunkBytes)
            {
                _sendingBytes = length - sent;
                FlushResult flushed = await _output.WriteAsync(bytes.AsMemory(sent, Math.Min(ChunkBytes, length - sent))).ConfigureAwait(false);
                if (flushed.IsCompleted) return;
            }
        }
        finally
        {
            LargeBuffers.Return(bytes);
        }
    }

    private OutputLimit OutputLimit
    {
        get
        {
            if (!IsAuthenticated && !_server.Store.Acl.IsOpen) return s_strangers;
            OutputBufferLimits limits = _server.Options.ClientOutputBufferLimits;
            return Class switch
            {
                ClientClass.Replica => limits.Replica,
                ClientClass.PubSub => limits.PubSub,
                _ => limits.Normal,
            };
        }
    }

    /// <summary>
    /// How large the replies may become that have gathered: the hard limit holds while a reply is being built, too.
    /// </summary>
    private int MostReplyBytes
    {
        get
        {
            long hardBytes = OutputLimit.HardBytes;
            return hardBytes == 0 ? Array.MaxLength : (int)Math.Min(hardBytes, Array.MaxLength - UnlimitedBytes) + UnlimitedBytes;
        }
    }

    /// <summary>The hard limit: checked by the loop whenever output piles up.</summary>
    private void EnforceOutputLimit()
    {
        if (!_killed && OutputLimit.IsHardExceeded(LimitedOutputBytes)) KillForOutput();
    }

    /// <summary>
    /// The soft limit. It is about time, so it has to be checked even when nothing happens on the connection. For
    /// <see cref="Housekeeping"/> alone.
    /// </summary>
    internal void EnforceOutputLimit(long nowMs)
    {
        if (!_killed && OutputLimit.IsExceeded(LimitedOutputBytes, nowMs, ref _overSoftLimitSinceMs)) KillForOutput();
    }

    /// <summary>
    /// Has the reply buffer replaced by a smaller one if half of it was more than enough of late, as Redis does. That is
    /// the time since the peak was reset, which happens again once <paramref name="peakMs"/> have passed; never if
    /// negative. For <see cref="Housekeeping"/> alone.
    /// </summary>
    internal void FitReplyBuffer(long nowMs, long peakMs)
    {
        int room = _reply.Capacity;
        if (room > _replyRoom) _server.Clients.CountReplyBufferExpansion();
        _replyRoom = room;
        if (!IsBlocked && MayShrinkReplyBuffer) Post(static client => client.ShrinkReplyBuffer());
        if (peakMs < 0 || nowMs - _replyPeakSinceMs <= peakMs) return;
        _replyPeakSinceMs = nowMs;
        _replyPeak = _reply.Length;
    }

    private bool MayShrinkReplyBuffer => _reply.Capacity / 2 >= LeastReplyRoom && _replyPeak < _reply.Capacity / 2;

    private void ShrinkReplyBuffer()
    {
        if (_isWaiting) return; // the command that waits has it
        if (_reply.Length != 0 || !MayShrinkReplyBuffer) return;
        _reply.ShrinkTo(Math.Max(LeastReplyRoom, _replyPeak + 1));
        _server.Clients.CountReplyBufferShrink();
    }

    private void KillForOutput()
    {
        if (_killed) return;
        Log.OutputBufferLimit(_server.Logger, Id, PendingOutputBytes);
        _server.Clients.CountOutputBufferKill();
        Kill();
    }

    /// <summary>More has been written to a reply than it may hold; the command that does so is still running.</summary>
    private void RefuseReply()
    {
        if (_killed) return;
        Log.ReplyTooLarge(_server.Logger, Id, LastCommand?.Name ?? "");
        _server.Clients.CountOutputBufferKill();
        Kill();
    }

    private long _overSoftLimitSinceMs; // only Housekeeping touches it
}
