using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// SUBSCRIBE and its family. Each name has a reply of its own: an array or, in RESP3, a push. In a transaction these are
/// EXEC's elements, which are then more than it announces; that is so in Redis, too.
/// </summary>
internal static class SubscribeCommands
{
    private const CommandFlags Flags = CommandFlags.PubSub | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale
        | CommandFlags.NeedsConnection | CommandFlags.AllowedInPubSub;

    /// <summary>SUBSCRIBE channel [channel ...]</summary>
    [Command("SUBSCRIBE", -2, Flags, Category.PubSub, Channels = "1..-1", Since = "2.0.0",
        Complexity = "O(N) where N is the number of channels to subscribe to.", Summary = "Listens for messages published to channels.",
        Syntax = "channel [channel ...]")]
    internal static void Subscribe(ref CommandContext call) => Subscribe(ref call, SubscriptionKind.Channel, "subscribe"u8);

    /// <summary>PSUBSCRIBE pattern [pattern ...]</summary>
    [Command("PSUBSCRIBE", -2, Flags, Category.PubSub, Channels = "PATTERN 1..-1", Since = "2.0.0",
        Complexity = "O(N) where N is the number of patterns to subscribe to.",
        Summary = "Listens for messages published to channels that match one or more patterns.", Syntax = "pattern [pattern ...]")]
    internal static void Psubscribe(ref CommandContext call) => Subscribe(ref call, SubscriptionKind.Pattern, "psubscribe"u8);

    /// <summary>SSUBSCRIBE shardchannel [shardchannel ...]</summary>
    [Command("SSUBSCRIBE", -2, Flags, Category.PubSub, Keys = "NOT_KEY 1..-1", Channels = "1..-1", Since = "7.0.0",
        Complexity = "O(N) where N is the number of shard channels to subscribe to.", Summary = "Listens for messages published to shard channels.",
        Syntax = "shardchannel [shardchannel ...]")]
    internal static void Ssubscribe(ref CommandContext call) => Subscribe(ref call, SubscriptionKind.ShardChannel, "ssubscribe"u8);

    /// <summary>UNSUBSCRIBE [channel [channel ...]]</summary>
    [Command("UNSUBSCRIBE", -1, Flags, Category.PubSub, Since = "2.0.0", Complexity = "O(N) where N is the number of channels to unsubscribe.",
        Summary = "Stops listening to messages posted to channels.", Syntax = "[channel [channel ...]]")]
    internal static void Unsubscribe(ref CommandContext call) => Unsubscribe(ref call, SubscriptionKind.Channel, "unsubscribe"u8);

    /// <summary>PUNSUBSCRIBE [pattern [pattern ...]]</summary>
    [Command("PUNSUBSCRIBE", -1, Flags, Category.PubSub, Since = "2.0.0", Complexity = "O(N) where N is the number of patterns to unsubscribe.",
        Summary = "Stops listening to messages published to channels that match one or more patterns.", Syntax = "[pattern [pattern ...]]")]
    internal static void Punsubscribe(ref CommandContext call) => Unsubscribe(ref call, SubscriptionKind.Pattern, "punsubscribe"u8);

    /// <summary>SUNSUBSCRIBE [shardchannel [shardchannel ...]]</summary>
    [Command("SUNSUBSCRIBE", -1, Flags, Category.PubSub, Keys = "NOT_KEY 1..-1", Since = "7.0.0",
        Complexity = "O(N) where N is the number of shard channels to unsubscribe.", Summary = "Stops listening to messages posted to shard channels.",
        Syntax = "[shardchannel [shardchannel ...]]")]
    internal static void Sunsubscribe(ref CommandContext call) => Unsubscribe(ref call, SubscriptionKind.ShardChannel, "sunsubscribe"u8);

    private static void Subscribe(ref CommandContext call, SubscriptionKind kind, ReadOnlySpan<byte> word)
    {
        PushWakes.StopGathering(); // what this client has published before is not for it, and what it publishes now may be
        ClientConnection me = ClientCommand.Me(call);
        Subscriptions mine = me.MakeSubscriptions();
        for (int i = 1; i < call.Count; i++)
        {
            mine.Add(kind, call[i]);
            // The rules may have changed since they were asked. Whoever changes them looks for subscriptions afterwards, so
            // that either he sees this one or it is seen here that they have changed; the end is the same.
            if (!me.User.IsUnrestricted && !me.User.Rules.AllowChannel(call[i], kind == SubscriptionKind.Pattern)) me.Kill();
            Confirm(ref call, me, word, call[i], mine.CountBeside(kind));
        }
        me.SubscriptionsChanged();
    }

    private static void Unsubscribe(ref CommandContext call, SubscriptionKind kind, ReadOnlySpan<byte> word)
    {
        ClientConnection me = ClientCommand.Me(call);
        Subscriptions? mine = me.Subscriptions;
        if (call.Count > 1)
        {
            for (int i = 1; i < call.Count; i++) End(ref call, me, kind, word, call[i]);
        }
        else if (mine?.Names(kind) is { Length: > 0 } names)
        {
            foreach (byte[] name in names) End(ref call, me, kind, word, name);
        }
        else
        {
            Confirm(ref call, me, word, default, mine?.CountBeside(kind) ?? 0, isNameless: true);
        }
        me.SubscriptionsChanged();
    }

    private static void End(ref CommandContext call, ClientConnection me, SubscriptionKind kind, ReadOnlySpan<byte> word, ReadOnlySpan<byte> name)
    {
        me.Subscriptions?.Remove(kind, name);
        // Messages that came before the end of the subscription are to arrive before its confirmation. In a transaction
        // that cannot be, since they would come between EXEC's elements: there they follow EXEC's reply.
        if (me.Transaction is not { IsOpen: true } && me.ReplyMode == ReplyMode.On) me.TakePushesInto(call.Reply);
        Confirm(ref call, me, word, name, me.Subscriptions?.CountBeside(kind) ?? 0);
    }

    private static void Confirm(
        ref CommandContext call, ClientConnection me, ReadOnlySpan<byte> word, ReadOnlySpan<byte> name, int count, bool isNameless = false)
    {
        RespWriter reply = call.Reply;
        if (me.ReplyMode == ReplyMode.On || me.Transaction is { IsOpen: true })
        {
            Write(reply, word, name, count, isNameless);
            return;
        }
        // As a push, it is not subject to CLIENT REPLY.
        Push(me, reply.Resp3, word, name, count, isNameless);
    }

    /// <summary>Pushes what would otherwise be the reply.</summary>
    internal static void Push(
        ClientConnection me, bool resp3, ReadOnlySpan<byte> word, ReadOnlySpan<byte> name, int count, bool isNameless = false)
    {
        var push = new RespWriter { Resp3 = resp3 };
        Write(push, word, name, count, isNameless);
        me.Push(new(PushKind.Message, push.Written.ToArray()));
    }

    private static void Write(RespWriter into, ReadOnlySpan<byte> word, ReadOnlySpan<byte> name, int count, bool isNameless)
    {
        into.Push(3);
        into.BulkString(word);
        if (isNameless) into.Null();
        else into.BulkString(name);
        into.Integer(count);
    }
}
