using Microsoft.AspNetCore.Connections;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>What a connection does while it waits: it keeps sending, and serves its mailbox.</summary>
public sealed partial class ClientConnection
{
    // Who may touch what
    //
    // While no command waits, the loop owns everything. It serves letters between two commands (when a read ends; a
    // letter ends one), so what they write to _reply follows a whole reply. A client that does not read changes nothing
    // about that: one send is under way, of bytes that nothing else uses any more, and what is written meanwhile is
    // sent after it.
    //
    // From the start of a wait to its end there are two parties, often on two threads: the wait (a continuation, or a
    // command that runs aside) and the loop. Each has state of its own:
    //   - The wait has _reply and _since. Replies that could not be sent before it began are moved to _meanwhile, so
    //     _reply is empty when the wait starts, and the loop neither reads nor sends it until the wait is over. The
    //     wait can therefore take its time to build a reply.
    //   - The loop has _meanwhile, _meanwhileSince, _sending and the mailbox. Letters write to _meanwhile (OutOfBand),
    //     which is sent at once, or after what is being sent.
    // When the wait is over, all of _meanwhile is sent before _reply is, and before another command runs. So nothing
    // ends up inside a reply, and everything leaves in the order in which it was written.
    //
    // Besides the writers there is the session: name, database, transaction, class, and one day subscriptions. A letter
    // may touch all of it, a command may too, and commands that run aside do so on other threads. _turn keeps the two
    // apart. Whatever changes the session during a wait holds it: a command that runs aside, and RESET. The loop only
    // tries to take it, since a command may hold it for seconds; if it cannot, it leaves its letters in the mailbox.
    // Releasing _turn rings the bell, so they are not forgotten. The other way round, a command may wait for _turn
    // while it holds gates; that wait is short, as a letter must never wait for anything. It cannot deadlock either: a
    // letter takes no gate, and nothing is sent under _turn.
    // A command that merely waits (in BLPOP, for the end of CLIENT PAUSE, for a gate) does not hold _turn, so its
    // client's letters are served at once.
    //
    // The bell (Mailbox) cannot be missed: a post enqueues first and then rings, and the loop looks into the queue
    // after it has heard the bell. A post also ends a pending read, since the poster cannot know which of the two the
    // loop awaits. A letter posted as a wait ends is served after the wait or, at the latest, when that read ends.
    //
    // The loop does not leave a wait before it is over, whatever happens to its client. Otherwise the end of the
    // connection would clean up (Transaction, Blocked) under a running command. A failed send kills the client instead.
    // That ends whatever merely waits: a blocked command by its Disconnected token, a command that has not begun by
    // _leave.
    private readonly Lock _turn = new();
    private RespWriter? _meanwhile;
    private long _meanwhileSince = -1;          // like _since, for what is in _meanwhile
    private CancellationTokenSource? _leave;    // while a command waits that has not begun: cancels the wait
    private volatile bool _isWaiting;
    private volatile bool _isHeld;
    private volatile bool _isUnblocked;

    /// <summary>
    /// Where a letter writes: whole replies or pushes, in the client's protocol. They are sent as soon as the client
    /// takes them, between two replies. For letters alone.
    /// </summary>
    public RespWriter OutOfBand
    {
        get
        {
            if (!_isWaiting)
            {
                _reply.Most = MostReplyBytes;
                return _reply;
            }
            _meanwhile ??= new();
            _meanwhile.Resp3 = _reply.Resp3;
            return _meanwhile;
        }
    }

    /// <summary>
    /// Waits until a command's wait is over, serving letters and sending meanwhile. On return, everything written
    /// before the command's reply has been sent.
    /// </summary>
    private async Task WaitAsync(Func<Task> wait)
    {
        if (_reply.Length != 0) SendOrKill(_reply, ref _since);
        if (_reply.Length != 0) SetUnsentAside();
        _isWaiting = true;
        Task waiting = wait();
        bool isBlocked = IsBlocked;
        bool isUnsent;
        while ((isUnsent = !_killed && _meanwhile is { Length: > 0 }) || !waiting.IsCompleted)
        {
            Task rung = _mailbox.WhenRung();
            if (!isUnsent) await Task.WhenAny(waiting, rung).ConfigureAwait(false);
            else if (waiting.IsCompleted) await Task.WhenAny(_sending, rung).ConfigureAwait(false);
            else await Task.WhenAny(waiting, _sending, rung).ConfigureAwait(false);
            _isUnblocked = isBlocked && waiting.IsCompleted;
            Listen();
        }
        _isWaiting = _isUnblocked = false;
        using CancellationTokenSource? leave = _leave;
        _leave = null;
        try
        {
            await waiting.ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (leave is { IsCancellationRequested: true } && CloseAfterReply)
        {
            // Closed before the command began.
        }
    }

    private void SetUnsentAside()
    {
        _meanwhile ??= new();
        _meanwhile.Raw(_reply.Written);
        _reply.Clear();
        (_meanwhileSince, _since) = (_since, -1);
        ForgetReads();
    }

    /// <summary>Serves the letters, unless a command is using the session, and sends what they wrote.</summary>
    private void Listen()
    {
        if (!_killed && !CloseAfterReply && _turn.TryEnter())
        {
            try
            {
                ServeLetters();
            }
            catch (Exception e)
            {
                Log.ConnectionFailed(_server.Logger, e, Id);
                Kill();
            }
            finally
            {
                _turn.Exit();
            }
        }
        if (_killed || CloseAfterReply) _leave?.Cancel();
        if (_killed || _meanwhile is not { Length: > 0 }) return;
        _statistics = _server.CommandStatistics.Mine;
        SendOrKill(_meanwhile, ref _meanwhileSince);
    }

    private void SendOrKill(RespWriter written, ref long since)
    {
        try
        {
            Send(written, ref since);
        }
        catch (Exception e)
        {
            if (!IsGone(e)) Log.ConnectionFailed(_server.Logger, e, Id);
            Kill();
        }
    }

    /// <summary>Whether an exception means only that the client went away, or was killed.</summary>
    private static bool IsGone(Exception e) =>
        e is ConnectionResetException or ConnectionAbortedException or OperationCanceledException or IOException;

    /// <summary>
    /// Takes the session for this thread alone until disposed; letters wait. For whatever changes the session during a
    /// wait.
    /// </summary>
    private Turn TakeTurn() => new(this);

    private readonly ref struct Turn
    {
        private readonly ClientConnection _client;

        public Turn(ClientConnection client)
        {
            _client = client;
            client.BeginTurn();
        }

        public void Dispose() => _client.EndTurn();
    }

    /// <summary>
    /// A token that ends the wait of a command that has not begun, when the client is killed, is to be closed, or is
    /// <paramref name="gone"/>.
    /// </summary>
    private CancellationToken MayLeave(CancellationToken gone = default)
    {
        var leave = CancellationTokenSource.CreateLinkedTokenSource(gone);
        Volatile.Write(ref _leave, leave);
        // The kill or close came before there was a token to cancel.
        if (_killed || CloseAfterReply) leave.Cancel();
        return leave.Token;
    }

    /// <inheritdoc/>
    protected override async Task HoldAsync(ClientPause pause, Task over)
    {
        _isHeld = true;
        try
        {
            await pause.HoldAsync(over, MayLeave(Disconnected)).ConfigureAwait(false);
        }
        finally
        {
            _isHeld = false;
        }
    }

    /// <inheritdoc/>
    /// <remarks>A client that has closed its side may have asked for no reply, so its command keeps waiting.</remarks>
    protected override Task WaitForRoomAsync(Task room) => room.WaitAsync(MayLeave());

    /// <summary>The letter that <see cref="Close"/> posts.</summary>
    private void CloseOnceAnswered()
    {
        CloseAfterReply = true;
        Blocked?.TryEnd(BlockedEnd.Disconnected); // it may never be answered
        RemoteWait?.Leave();
    }
}
