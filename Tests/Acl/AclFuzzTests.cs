using System.Collections.Concurrent;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Gateway;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Acl;

/// <summary>Random requests to a server with users. RANDOM_COMMANDS sets how many are tried.</summary>
public sealed class AclFuzzTests : GatewayTest
{
    private const string Password = "S3CRET";

    private static readonly int s_count = int.Parse(Environment.GetEnvironmentVariable("RANDOM_COMMANDS") ?? "6000");

    /// <summary>What a user may get the right to run: nothing that waits, or that ends the connection or the server.</summary>
    private static readonly string[] s_harmless =
    [
        "get", "set", "incr", "del", "mget", "lpush", "lpop", "hset", "sort", "multi", "exec", "discard", "watch", "eval", "eval_ro", "evalsha", "fcall",
        "fcall_ro", "ping", "echo", "select", "object|encoding", "object|help", "config|get", "client|id", "client|getname", "acl|whoami", "acl|cat",
        "command|count", "command", "memory|usage", "script|exists", "function|stats", "dbsize", "info",
    ];

    private static readonly string[] s_words = ["k", "l", "1", "0", "2", "GET", "*", "f", "STORE", "ON", "timeout", "user", "default", "ALL", "return 1", ""];

    private readonly List<string> _story = [];
    private readonly Random _random = TestSeed.Random();
    private CommandInfo[] _commands = [];
    private HashSet<string> _allowed = [];

    [Fact]
    public async Task Nothing_runs_that_the_user_may_not_run()
    {
        _commands =
        [
            .. Server.Server.Commands.Declared.SelectMany(command => command.Subcommands?.Values.Append(command) ?? [command])
                .Where(command => command.Method is not null && command.Name is not ("quit" or "reset")),
        ];
        await Call("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('do', function(keys, words) return redis.call(unpack(words)) end)");
        await Line("ACL SETUSER default off");
        await using RespConnection client = await Server.ConnectAsync();
        for (int tried = 0; tried < s_count; tried += 20)
        {
            _story.Clear();
            _allowed = [.. s_harmless.Where(_ => _random.Next(3) == 0)];
            await Redis.CallAsync(
                ["ACL", "SETUSER", "user", "reset", "on", ">" + Password, "allkeys", "allchannels", .. _allowed.Select(name => (RespArgument)("+" + name))]);
            await client.LineAsync("RESET");
            Assert.Equal("+OK", (await client.CallAsync("AUTH", "user", Password)).ToString());
            long[] before = Calls();
            await AnswersAsync(() => client.PipelineAsync([.. Enumerable.Range(0, 18).Select(_ => Told(Some()))]));
            AclUser user = Server.Store.Acl.Find("user"u8)!;
            foreach (RespArgument[] request in (RespArgument[][])[Told(Some()), Told(InScript(Some()))])
                await Server.Server.Runner.RunAsync(0, [.. request.Select(word => (ReadOnlyMemory<byte>)word.Bytes)], limit: null, user);
            string line = string.Join(' ', Name(Pick(_commands))).Replace("\0", "") + " k 1"; // a NUL would hide the end of the line
            _story.Add(line);
            await client.SendRawAsync(line + "\r\n");
            await AnswersAsync(client.ReadAsync);
            Judge(before);
            if (!_allowed.Contains("multi") || !_allowed.Contains("exec")) continue;

            // What was queued before the rights were taken.
            await client.LineAsync("RESET");
            await client.CallAsync("AUTH", "user", Password);
            await client.LineAsync("MULTI");
            await AnswersAsync(() => client.PipelineAsync([.. Enumerable.Range(0, 5).Select(_ => Told(Some()))]));
            foreach (string name in _allowed.Where(name => name is not "exec" && _random.Next(2) == 0).ToArray())
            {
                _allowed.Remove(name);
                await Redis.CallAsync("ACL", "SETUSER", "user", "-" + name);
            }
            before = Calls();
            await client.LineAsync("EXEC");
            Judge(before);
        }
    }

    [Fact]
    public async Task Nonsense_does_no_harm_and_passwords_are_never_shown()
    {
        await using InProcessServer server = await InProcessServer.StartAsync(options => options.AclFile = "users.acl");
        var log = new ConcurrentQueue<string>();
        server.Store.Log.Writer = (_, line) => log.Enqueue(line);
        await using RespConnection redis = await server.ConnectAsync();
        await redis.LineAsync("CONFIG SET slowlog-log-slower-than 0");
        var generator = new AclRuleGenerator(_random, [.. server.Server.Commands.Commands]);
        string file = Path.Combine(server.Store.Options.Dir, "users.acl");
        string[] names = ["alice", "bob", "\xff", "", "a b", "c\0d", "(x)", "~y", "default2"];
        for (int i = 0; i < s_count / 6; i++)
        {
            string name = Pick(names);
            RespArgument[] request = _random.Next(10) switch
            {
                0 => ["ACL", Pick("GETUSER", "DELUSER", "LOG", "CAT", "GENPASS", "WHOAMI", "LIST", "HELP", "nothing"), name],
                1 => ["ACL", "DRYRUN", name, .. Enumerable.Range(0, _random.Next(5)).Select(_ => (RespArgument)Pick(s_words))],
                2 => ["ACL", "SAVE"],
                _ => ["ACL", "SETUSER", name, .. generator.Rules().Select(rule => (RespArgument)Spoilt(rule))],
            };
            Sound(await redis.CallAsync(request));
            await using RespConnection stranger = await server.ConnectAsync(); // one that stayed might be a user who is deleted
            RespArgument[] greeting = _random.Next(4) switch
            {
                0 => ["HELLO", Pick("2", "3", "4", "x"), "AUTH", name, Password, .. _random.Next(2) == 0 ? (RespArgument[])["SETNAME", "x"] : []],
                1 => ["AUTH", name, Password, .. _random.Next(9) == 0 ? (RespArgument[])[Password] : []],
                2 => ["AUTH", Password + Noise()],
                _ => ["AUTH", name, Noise()],
            };
            Sound(await stranger.CallAsync(greeting));
            if (i % 25 != 0) continue;
            await NoPasswordIsShownAsync(redis, log);
            await EveryUserCanBeReadAgainAsync(redis);
            // A file of nonsense changes nothing.
            Assert.Equal("+OK", (await redis.LineAsync("ACL SAVE")).ToString());
            string saved = await File.ReadAllTextAsync(file, Encoding.Latin1), users = (await redis.LineAsync("ACL LIST")).ToString();
            Assert.DoesNotContain(Password, saved, StringComparison.Ordinal);
            await File.WriteAllTextAsync(file, saved + "user x " + string.Join(' ', generator.Rules().Select(Spoilt)) + " bogus\n", Encoding.Latin1);
            Assert.StartsWith("-ERR ", (await redis.LineAsync("ACL LOAD")).ToString(), StringComparison.Ordinal);
            Assert.Equal(users, (await redis.LineAsync("ACL LIST")).ToString());
        }
    }

    private async Task NoPasswordIsShownAsync(RespConnection redis, ConcurrentQueue<string> log)
    {
        foreach (string command in (string[])["ACL LOG 1000", "ACL LIST", "INFO everything", "CLIENT LIST", "SLOWLOG GET 1000"])
            Assert.DoesNotContain(Password, (await redis.LineAsync(command)).ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(log, line => line.Contains(Password, StringComparison.Ordinal));
    }

    /// <summary>The line of every user gives the same user again.</summary>
    private static async Task EveryUserCanBeReadAgainAsync(RespConnection redis)
    {
        foreach (RespValue user in (await redis.LineAsync("ACL LIST")).Items)
        {
            string line = Encoding.Latin1.GetString(user.Bytes);
            string[] words = line.Split(' ');
            Assert.Equal("+OK", (await redis.CallAsync(["ACL", "SETUSER", "copy", "reset", .. words[2..].Select(word => (RespArgument)word)])).ToString());
            string[] all = [.. (await redis.LineAsync("ACL LIST")).Items.Select(item => Encoding.Latin1.GetString(item.Bytes))];
            Assert.Contains($"user copy {string.Join(' ', words[2..])}", all);
            await redis.LineAsync("ACL DELUSER copy");
        }
    }

    private static void Sound(RespValue reply) => Assert.DoesNotContain("internal error", reply.ToString(), StringComparison.Ordinal);

    /// <summary>A rule with a password, or with something wrong with it, more often than the generator's.</summary>
    private string Spoilt(string rule) => _random.Next(8) switch
    {
        0 => Pick(">", "<", "(>", "#", "(+get >", ">)") + Password,
        1 => rule + Pick("(", ")", "\"", "'", " ", "|", "~", "\\", "%"),
        2 => Pick("(", "%", "~", "+", "@", "(%R~", "\0") + rule,
        3 => Noise(),
        _ => rule,
    };

    private string Noise() => string.Concat(Enumerable.Range(0, _random.Next(_random.Next(40) == 0 ? 3000 : 12)).Select(_ => (char)_random.Next(256)));

    /// <summary>Fails if a command has run that may not.</summary>
    private void Judge(long[] before)
    {
        long[] after = Calls();
        for (int i = 0; i < _commands.Length; i++)
        {
            // A container is allowed with all that is in it.
            string name = _commands[i].Name, container = name.Split('|')[0];
            bool mayRun = after[i] == before[i] || _commands[i].Is(CommandFlags.NoAuth) || _allowed.Contains(name) || _allowed.Contains(container);
            Assert.True(mayRun, $"{_commands[i].Name} has run, though {string.Join(' ', _allowed)} may. One of\n{string.Join('\n', _story)}");
        }
    }

    private async Task AnswersAsync<T>(Func<Task<T>> ask)
    {
        try
        {
            await ask();
        }
        catch (RespException e)
        {
            throw new InvalidOperationException($"No answer to one of\n{string.Join('\n', _story)}", e);
        }
    }

    private long[] Calls() => [.. _commands.Select(command => Server.Server.CommandStatistics.Of(command).Calls)];

    private RespArgument[] Told(RespArgument[] request)
    {
        _story.Add(string.Join(' ', request));
        return request;
    }

    private RespArgument[] Some() => _random.Next(8) switch
    {
        0 => ["MULTI"],
        1 => ["EXEC"],
        2 => InScript(Plain()),
        3 => ["FCALL", "do", "0", .. Plain()],
        _ => Plain(),
    };

    private RespArgument[] InScript(RespArgument[] request) =>
        [Pick("EVAL", "EVAL_RO"), Pick("return redis.call(unpack(ARGV))", "redis.pcall(unpack(ARGV)) return redis.pcall('get', 'k')"), "0", .. request];

    private RespArgument[] Plain()
    {
        CommandInfo command = Pick(_commands);
        var words = new List<RespArgument>(Name(command).Select(word => (RespArgument)word));
        int count = Math.Abs(command.Arity) + (command.Arity < 0 ? _random.Next(3) : 0);
        while (words.Count < count) words.Add(Pick(s_words));
        return [.. words];
    }

    /// <summary>A command's name, and what looks like it.</summary>
    private string[] Name(CommandInfo command)
    {
        string[] words = [.. command.Name.Split('|').Select(word => string.Concat(word.Select(c => _random.Next(2) == 0 ? char.ToUpperInvariant(c) : c)))];
        return _random.Next(16) switch
        {
            0 => [string.Join('|', words)],
            1 => [words[0] + "|", .. words[1..]],
            2 => [words[0] + "\0", .. words[1..]],
            3 => [words[0], .. Pick(_commands).Name.Split('|')[1..], .. words[1..]],
            _ => words,
        };
    }

    private T Pick<T>(params IReadOnlyList<T> from) => from[_random.Next(from.Count)];
}
