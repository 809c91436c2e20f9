using System.Globalization;
using System.Text;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Differential;

/// <summary>
/// Compares the keyspace events of random commands with those of Debian's redis-server: which ones, on which channels,
/// and in which order. The commands are the same each time, since versions of Redis differ in corners that another choice
/// of commands may find, which must not fail a run by chance; <c>DIFFERENTIAL_EVENTS_SEED</c> makes another choice.
/// </summary>
public sealed class KeyspaceEventTests
{
    private const int EpisodeCommands = 250, Episodes = 8;
    private const string Marker = "__keymarker";

    public static TheoryData<string> Families => [.. Family.All.Select(family => family.Name)];

    [Theory]
    [Trait("Needs", "servers")]
    [MemberData(nameof(Families))]
    public async Task Commands_give_the_events_that_redis_gives(string name)
    {
        Family family = Family.All.Single(family => family.Name == name);
        int seed = Environment.GetEnvironmentVariable("DIFFERENTIAL_EVENTS_SEED") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : 0;
        await using Side redis = await Side.StartAsync(ServerKind.Redis), ours = await Side.StartAsync(ServerKind.OrleansRedis);
        for (int episode = 0; episode < Episodes; episode++)
        {
            Random random = new(seed + episode);
            Arguments arguments = new(random, DateTimeOffset.UtcNow);
            RespArgument[][] commands = [.. Enumerable.Range(0, EpisodeCommands).Select(_ => family.Pick(random).Generate(arguments).ToArray())];
            (RespValue[] Replies, List<string>[] Events) theirs = await redis.PlayAsync(commands), mine = await ours.PlayAsync(commands);
            for (int i = 0; i < commands.Length; i++)
            {
                if (Comparison.Diverges(commands[i], theirs.Replies[i], mine.Replies[i])) break;
                // Where versions differ in what a command does, they may differ in its events.
                if (theirs.Replies[i].IsError != mine.Replies[i].IsError || Same(commands[i], theirs.Replies[i], theirs.Events[i], mine.Events[i])) continue;
                string history = string.Join("\n  ", commands.Take(i + 1).TakeLast(30).Select(Show));
                Assert.Fail($"Episode {episode}:\n  {history}\nredis: {string.Join(", ", theirs.Events[i])}\nours:  {string.Join(", ", mine.Events[i])}");
            }
        }
    }

    private static bool Same(RespArgument[] command, RespValue reply, List<string> redis, List<string> ours)
    {
        if (redis.SequenceEqual(ours)) return true;
        // Whether a mistake is found before or after other keys are looked up.
        if (reply.IsError) return Without(redis, "keymiss").SequenceEqual(Without(ours, "keymiss"));
        return Encoding.Latin1.GetString(command[0].Bytes).ToUpperInvariant() switch
        {
            // The order in which SORT takes the elements of a set is not defined.
            "SORT" or "SORT_RO" => redis.Order().SequenceEqual(ours.Order()),
            // Since 7.2 claiming creates the consumer even if there is nothing to claim; from there on the two differ.
            "XREADGROUP" or "XCLAIM" or "XAUTOCLAIM" or "XGROUP" => WithoutConsumers(redis).SequenceEqual(WithoutConsumers(ours)),
            // If every operation has failed, the string may have grown, of which redis says nothing.
            "BITFIELD" => redis.Count == 0 && ours.TrueForAll(text => IsOf(text, "setbit") || IsOf(text, "new")),
            _ => false,
        };
    }

    private static IEnumerable<string> WithoutConsumers(List<string> events) =>
        events.Where(text => !IsOf(text, "xgroup-createconsumer") && !IsOf(text, "xgroup-delconsumer"));

    private static IEnumerable<string> Without(List<string> events, string name) => events.Where(text => !IsOf(text, name));

    /// <summary>Whether an event, as channel and message, has this name.</summary>
    private static bool IsOf(string text, string name) =>
        text.EndsWith(" " + name, StringComparison.Ordinal) || text.Contains($"__:{name} ", StringComparison.Ordinal);

    private static string Show(RespArgument[] command) => string.Join(' ', command.Select(argument => argument.ToString()));

    /// <summary>A server, with a client that sends commands and one that hears of their events.</summary>
    private sealed class Side(RedisProcess process, RespConnection commands, RespConnection events) : IAsyncDisposable
    {
        public static async Task<Side> StartAsync(ServerKind kind)
        {
            RedisProcess process = await RedisProcess.StartAsync(kind, "--notify-keyspace-events", "KEAmn");
            Side side = new(process, await process.ConnectAsync(), await process.ConnectAsync());
            // What has expired is then noticed by the commands alone, and so by the same ones.
            await side.Commands.LineAsync("DEBUG SET-ACTIVE-EXPIRE 0");
            await side.Events.LineAsync("PSUBSCRIBE __key*");
            return side;
        }

        private RespConnection Commands => commands;

        private RespConnection Events => events;

        public async Task<(RespValue[] Replies, List<string>[] Events)> PlayAsync(RespArgument[][] played)
        {
            await commands.PipelineAsync([["RESET"], ["FLUSHALL"], ["PUBLISH", Marker, "-1"]]);
            List<RespArgument[]> pipeline = [];
            for (int i = 0; i < played.Length; i++)
            {
                pipeline.Add(played[i]);
                pipeline.Add(["PUBLISH", Marker, i.ToString(CultureInfo.InvariantCulture)]);
            }
            Task<RespValue[]> replying = commands.PipelineAsync(pipeline);
            List<string>[] heard = new List<string>[played.Length];
            List<string> current = [];
            for (bool isOver = false; !isOver;)
            {
                RespValue message = await events.ReadAsync();
                string channel = message[2].Text, text = message[3].Text;
                if (channel != Marker)
                {
                    current.Add($"{channel} {text}");
                    continue;
                }
                int number = int.Parse(text, CultureInfo.InvariantCulture);
                if (number >= 0) heard[number] = current;
                current = [];
                isOver = number == played.Length - 1;
            }
            RespValue[] replies = await replying;
            return ([.. replies.Where((_, i) => i % 2 == 0)], heard);
        }

        public async ValueTask DisposeAsync()
        {
            await commands.DisposeAsync();
            await events.DisposeAsync();
            await process.DisposeAsync();
        }
    }
}
