using System.Globalization;
using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// What a client gets without having asked for it: messages of channels, and keys that have changed. Whoever has one for
/// it puts it into the queue and wakes the loop; the loop moves it to the output between two replies.
/// </summary>
public sealed partial class ClientConnection : IInvalidated
{
    private PushQueue? _pushes; // made when something is first pushed

    /// <summary>What it has subscribed to; null if it never has.</summary>
    internal Subscriptions? Subscriptions { get; private set; }

    /// <summary>
    /// Whether pushes may be sent now though a command waits. Not while it runs: what is pushed then may tell of a
    /// change to what it has just read, and a client that learns of the change first would keep what it has read for
    /// ever. The loop alone may ask without regard to the queue; see <see cref="PushQueue.MoveTo"/>.
    /// </summary>
    internal bool TakesPushes => !_isWaiting || _isHeld || Blocked is { IsWaiting: true } || RemoteWait is { IsAnswered: false };

    /// <summary>Bytes that are to be pushed to it and are not in its output yet.</summary>
    private long QueuedPushBytes => _pushes?.Bytes ?? 0;

    /// <summary>
    /// Has something sent to the client as soon as possible, between two replies. Callable from any thread, which may
    /// hold gates.
    /// </summary>
    internal void Push(in Push push)
    {
        if (_killed) return;
        PushQueue queue = _pushes ?? MakePushes();
        PushWakes.Count();
        if (queue.Add(push)) PushWakes.Wake(this);
        if (queue.Bytes > UnlimitedBytes && OutputLimit.IsHardExceeded(LimitedOutputBytes)) KillForOutput();
    }

    /// <summary>Has the loop look into the queue of pushes.</summary>
    internal void WakeForPushes()
    {
        _mailbox.Ring();
        if (_transport is EpollConnection connection) connection.PostPushed();
        else Wake();
    }

    /// <summary>The subscriptions, to be changed by a command of the client.</summary>
    internal Subscriptions MakeSubscriptions() => Subscriptions ??= new(this, _server.PubSub);

    /// <summary>To be called after the subscriptions have changed.</summary>
    internal void SubscriptionsChanged()
    {
        if (Class is ClientClass.Normal or ClientClass.PubSub) Class = Subscriptions is { IsEmpty: false } ? ClientClass.PubSub : ClientClass.Normal;
        IsInPubSub = Class == ClientClass.PubSub && Protocol == 2;
    }

    /// <summary>
    /// Moves what is to be pushed to the output, where a command of the client is about to write a reply that must come
    /// after it.
    /// </summary>
    internal void TakePushesInto(RespWriter reply)
    {
        if (_pushes is { IsEmpty: false }) _pushes.MoveTo(reply, IsInPubSub);
    }

    /// <summary>A letter: the slots of some of its shard channels are another node's now.</summary>
    internal void EndShardSubscriptions(Predicate<int> isLost)
    {
        if (Subscriptions is not { } mine) return;
        foreach (byte[] name in mine.Names(SubscriptionKind.ShardChannel))
        {
            if (!isLost(KeySlot.Of(name))) continue;
            mine.Remove(SubscriptionKind.ShardChannel, name);
            // Through the queue, so after the messages that came before.
            SubscribeCommands.Push(this, resp3: false, "sunsubscribe"u8, name, mine.ShardChannelCount);
        }
        SubscriptionsChanged();
    }

    /// <inheritdoc/>
    void IInvalidated.Invalidated(byte[] key, TrackedPrefix? prefix) =>
        Invalidate(new(prefix is null ? PushKind.Key : PushKind.KeyWithPrefix, key, prefix));

    /// <inheritdoc/>
    void IInvalidated.AllInvalidated() => Invalidate(new(PushKind.AllKeys, []));

    /// <summary>The loop: moves what is to be pushed to the output.</summary>
    private void TakePushes()
    {
        if (_pushes is not { IsEmpty: false } || CloseAfterReply) return; // nothing follows the last reply
        if (_server.Store.Durability is { RepliesWait: true } log) RelyOnWrites(log, ref _isWaiting ? ref _meanwhileSince : ref _since);
        _pushes.MoveTo(OutOfBand, IsInPubSub, this);
    }

    /// <summary>What is pushed may tell of any write so far, and so must not leave before that is durable.</summary>
    private void RelyOnWrites(IDurability log, ref long since)
    {
        long committed = log.Committed;
        if (since < 0 || since > committed) since = committed;
        if (!_isWaiting) _hasWrites = true; // otherwise the command that waits has it, and what is set aside waits anyway
    }

    private PushQueue MakePushes()
    {
        var queue = new PushQueue();
        return Interlocked.CompareExchange(ref _pushes, queue, null) ?? queue;
    }

    /// <summary>Tells the client, or the one that its tracking is redirected to.</summary>
    private void Invalidate(in Push push)
    {
        if (Tracking is not { } tracking) return;
        MessageBatch.Deliver(); // what was published before comes before
        long redirect = tracking.Redirect;
        if (redirect == 0)
        {
            if (Protocol == 3) Push(push);
        }
        else if (_server.Clients.Find(redirect) is { IsKilled: false, CloseAfterReply: false } other)
        {
            other.Push(push with { IsRedirected = true });
        }
        else
        {
            tracking.IsRedirectBroken = true;
            Push(new(PushKind.Resp3, Encoding.ASCII.GetBytes(
                string.Create(CultureInfo.InvariantCulture, $">2\r\n$21\r\ntracking-redir-broken\r\n:{redirect}\r\n"))));
        }
    }
}
