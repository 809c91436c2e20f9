namespace OrleansRedis.Engine;

/// <summary>
/// Publishing, and PUBSUB. A grain call and a script can do it as well as a connection; only a connection can subscribe.
/// </summary>
internal static class PubSubCommands
{
    private const CommandFlags Flags = CommandFlags.PubSub | CommandFlags.Loading | CommandFlags.Stale, Asks = Flags | CommandFlags.EverySilo;

    /// <summary>PUBLISH channel message</summary>
    [Command("PUBLISH", 3, Flags | CommandFlags.Fast | CommandFlags.MayReplicate, Category.PubSub, Channels = "1", Since = "2.0.0",
        Complexity = "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns "
            + "(by any client).",
        Summary = "Posts a message to a channel.", Syntax = "channel message")]
    internal static void Publish(ref CommandContext call) => Publish(ref call, isSharded: false);

    /// <summary>SPUBLISH shardchannel message</summary>
    [Command("SPUBLISH", 3, Flags | CommandFlags.Fast | CommandFlags.MayReplicate, Category.PubSub, Keys = "NOT_KEY 1", Channels = "1", Since = "7.0.0",
        Complexity = "O(N) where N is the number of clients subscribed to the receiving shard channel.",
        Summary = "Post a message to a shard channel", Syntax = "shardchannel message")]
    internal static void Spublish(ref CommandContext call) => Publish(ref call, isSharded: true);

    /// <summary>PUBSUB CHANNELS [pattern]</summary>
    [Command("PUBSUB|CHANNELS", -2, Asks, Category.PubSub, Since = "2.8.0",
        Complexity = "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)",
        Summary = "Returns the active channels.", Syntax = "[pattern]")]
    internal static void Channels(ref CommandContext call) => Channels(ref call, isSharded: false);

    /// <summary>PUBSUB SHARDCHANNELS [pattern]</summary>
    [Command("PUBSUB|SHARDCHANNELS", -2, Asks, Category.PubSub, Since = "7.0.0",
        Complexity = "O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).",
        Summary = "Returns the active shard channels.", Syntax = "[pattern]")]
    internal static void ShardChannels(ref CommandContext call) => Channels(ref call, isSharded: true);

    /// <summary>PUBSUB NUMSUB [channel [channel ...]]</summary>
    [Command("PUBSUB|NUMSUB", -2, Asks, Category.PubSub, Since = "2.8.0",
        Complexity = "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
        Summary = "Returns a count of subscribers to channels.", Syntax = "[channel [channel ...]]")]
    internal static void Numsub(ref CommandContext call) => Numsub(ref call, isSharded: false);

    /// <summary>PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]]</summary>
    [Command("PUBSUB|SHARDNUMSUB", -2, Asks, Category.PubSub, Since = "7.0.0",
        Complexity = "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
        Summary = "Returns the count of subscribers of shard channels.", Syntax = "[shardchannel [shardchannel ...]]")]
    internal static void ShardNumsub(ref CommandContext call) => Numsub(ref call, isSharded: true);

    /// <summary>PUBSUB NUMPAT</summary>
    [Command("PUBSUB|NUMPAT", 2, Asks, Category.PubSub, Since = "2.8.0", Complexity = "O(1)",
        Summary = "Returns a count of unique pattern subscriptions.")]
    internal static void Numpat(ref CommandContext call) => call.Reply.Integer(call.Store.PubSub?.CountPatterns() ?? 0);

    /// <summary>PUBSUB HELP</summary>
    [Command("PUBSUB|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.None, Since = "6.2.0", Complexity = "O(1)", Group = "pubsub",
        Summary = "Returns helpful text about the different subcommands.")]
    internal static void Help(ref CommandContext call) => HelpText.Reply(ref call,
        """
        CHANNELS [<pattern>]
            Return the currently active channels matching a <pattern> (default: '*').
        NUMPAT
            Return number of subscriptions to patterns.
        NUMSUB [<channel> ...]
            Return the number of subscribers for the specified channels, excluding
            pattern subscriptions(default: no channels).
        SHARDCHANNELS [<pattern>]
            Return the currently active shard level channels matching a <pattern> (default: '*').
        SHARDNUMSUB [<shardchannel> ...]
            Return the number of subscribers for the specified shard level channel(s)
        """);

    private static void Publish(ref CommandContext call, bool isSharded) =>
        call.Reply.Integer(call.Store.PubSub?.Publish(call[1], call[2], isSharded) ?? 0);

    private static void Channels(ref CommandContext call, bool isSharded)
    {
        if (call.Count > 3)
        {
            call.Reply.Error(Errors.SubcommandSyntax("pubsub", call.Request));
            return;
        }
        int begin = call.Reply.Begin(), count = 0;
        foreach (byte[] channel in call.Store.PubSub?.Channels(isSharded) ?? [])
        {
            if (call.Count == 3 && !GlobPattern.IsMatch(call[2], channel)) continue;
            call.Reply.BulkString(channel);
            count++;
        }
        call.Reply.Finish(begin, Aggregate.Array, count);
    }

    private static void Numsub(ref CommandContext call, bool isSharded)
    {
        call.Reply.Array((call.Count - 2) * 2);
        for (int i = 2; i < call.Count; i++)
        {
            call.Reply.BulkString(call[i]);
            call.Reply.Integer(call.Store.PubSub?.CountSubscribers(call[i], isSharded) ?? 0);
        }
    }
}
