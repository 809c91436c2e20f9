using System.Text;
using System.Text.RegularExpressions;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Differential;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Acl;

/// <summary>
/// Random requests by a user who may run nearly every command, on some keys. Whatever they say and however they come
/// (by themselves, in a transaction, in a script, in a function, as a grain call), no reply tells what is in other keys,
/// and those stay as they are. RANDOM_COMMANDS sets how many are tried.
/// </summary>
public sealed partial class AclConfinementTests : IDisposable
{
    /// <summary>What is in the keys that the user may not read. The requests do not have it.</summary>
    private const string Marker = "S3CRET";

    private const string Rules = "+@all -@dangerous +sort +sort_ro +restore -function -script";

    private static readonly int s_count = int.Parse(Environment.GetEnvironmentVariable("RANDOM_COMMANDS") ?? "20000");

    /// <summary>What keys may be called so that the place of another key is mistaken: the words between which keys are.</summary>
    private static readonly string[] s_keywords = ["STREAMS", "STORE", "STOREDIST", "GROUP", "GET", "BY", "KEYS", "COUNT", "1", "2"];

    /// <summary>Keys in the slots of such keys.</summary>
    private static readonly string[] s_neighbours = [.. ((string[])["STREAMS", "STORE", "STOREDIST", "GROUP"]).Select(word => $"{{{word}}}secret")];

    /// <summary>Commands with keys behind a word, where such names are most likely to be taken for the word.</summary>
    private static readonly CommandPattern[] s_tricky =
    [
        new("XREADGROUP [COUNT 1|NOACK] GROUP key key [COUNT 1] STREAMS key >"), new("XREAD [COUNT 1] STREAMS key [key 0] 0"),
        new("GEORADIUS key 1 1 1000 KM [COUNT 1] {STORE|STOREDIST} key {STORE|STOREDIST} key"),
        new("GEORADIUSBYMEMBER key 1 1000 KM {STORE|STOREDIST} key {STORE|STOREDIST} key"),
        new("SORT key {BY key|GET key|LIMIT 0 1} {BY key|GET key|STORE key} STORE key ALPHA"),
    ];

    private static readonly string[] s_trickyNames =
    [
        "STREAMS", "STORE", "STOREDIST", "GROUP", "g", "mine:geo", "mine:stream", "mine:zset", "{STREAMS}secret", "{STORE}secret",
    ];

    private static readonly string[] s_types = ["string", "list", "set", "hash", "zset", "geo", "stream", "hll", "none"];
    /// <summary>What keys are called in the commands of <see cref="Family"/>, and groups and consumers.</summary>
    private static readonly HashSet<string> s_names = ["k1", "k2", "k3", "{t}a", "{t}b", "k\xff\x01\r\n", "LEX", "g1", "c1", "c2"];

    private static readonly string[] s_values =
    [
        "0", "1", "2", "3", "-1", "1-1", "0-0", "g", "c", "f", "m", "*", ">", "$", "-", "+", "[a", "(1", "#", "m*->f", "*", "1.5", "u8",
    ];


    private readonly EngineHarness _redis = new();
    private readonly Dictionary<CommandInfo, string[]> _words = [];
    private readonly CommandInfo[] _commands;
    private readonly string[] _keys;
    private readonly Queue<string> _story = new();
    private Random _random = null!;
    private string _protected = "";

    public AclConfinementTests()
    {
        // Those that wait would wait for ever; in transactions and scripts they do not.
        _commands =
        [
            .. EngineHarness.Commands.Declared.SelectMany(command => command.Subcommands?.Values.Append(command) ?? [command])
                .Where(command => command.Method is not null && (command.Categories & Category.Transaction) == 0 && !command.Is(CommandFlags.RunsScript)),
        ];
        foreach (CommandInfo command in _commands) _words.Add(command, [.. Words().Matches(command.Declaration!.Syntax).Select(word => word.Value)]);
        _keys =
        [
            .. ((string[])["mine", "read", "write", "secret"]).SelectMany(name => s_types.Select(type => $"{name}:{type}")),
            .. s_keywords, .. s_keywords, .. s_neighbours,
        ];
        foreach (Family family in Family.All) family.Meet(_ => true);
        foreach (string database in (string[])["0", "1"])
        {
            _redis.Run("SELECT", database);
            Fill("mine", "plain");
            Fill("read", "plain");
            Fill("write", Marker);
            Fill("secret", Marker);
            foreach (string key in s_neighbours)
            {
                _redis.Run("COPY", key.Contains("STORE", StringComparison.Ordinal) ? "secret:geo" : "secret:stream", key);
            }
        }
        _redis.Run("SELECT", "0");
        _redis.Run("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('do', function(keys, words) return redis.call(unpack(words)) end)");
        _redis.TakeEffects();
    }

    public void Dispose() => _redis.Dispose();

    [GeneratedRegex("[A-Z][A-Z0-9-]+")]
    private static partial Regex Words();

    [Fact]
    public async Task Nothing_gets_at_a_key_that_the_user_may_not_reach()
    {
        _random = TestSeed.Random();
        _redis.Run(["ACL", "SETUSER", "user", "on", .. Rules.Split(' '), .. Limits()]);
        EngineClient client = _redis.NewClient();
        client.Session.User = _redis.Store.Acl.Find("user"u8)!;
        _protected = Protected();
        for (int i = 0; i < s_count; i++)
        {
            client.Session.Database = i & 1;
            await TryAsync(client);
        }
    }

    [Fact]
    public void What_was_queued_with_more_rights_does_not_run_without_them()
    {
        _random = TestSeed.Random();
        _protected = Protected();
        for (int i = 0; i < s_count / 20; i++)
        {
            _redis.Run(["ACL", "SETUSER", "user", "reset", "on", .. Rules.Split(' '), "allkeys"]);
            EngineClient client = _redis.NewClient();
            client.Session.User = _redis.Store.Acl.Find("user"u8)!;
            client.Run("MULTI");
            for (int j = _random.Next(1, 5); j > 0; j--) Send(client, Spoilt(_random.Next(3) == 0 ? InScript(Some()) : Some()));
            _redis.Run(["ACL", "SETUSER", "user", "resetkeys", .. Limits()]);
            Judge(client.Raw("EXEC"));
        }
    }

    private static string[] Limits() => ["~mine:*", "%R~read:*", "%W~write:*", .. s_keywords.Select(word => "~" + word)];

    private async Task TryAsync(EngineClient client)
    {
        string[] request = Spoilt(Some());
        bool mayWait = EngineHarness.Commands.Resolve(AclRuleGenerator.Owned(request).Request)?.Is(CommandFlags.Blocking) == true;
        switch (_random.Next(8))
        {
            case 0:
                Judge(Send(client, InScript(request)));
                break;
            case 1:
                Judge(Send(client, ["FCALL", "do", "0", .. request]));
                break;
            case 2:
                client.Raw("MULTI");
                Judge(Send(client, request));
                Judge(Send(client, InScript(Some())));
                Judge(client.Raw("EXEC"));
                break;
            case 3 when !mayWait:
                Tell(request);
                ReadOnlyMemory<byte>[] words = [.. request.Select(word => (ReadOnlyMemory<byte>)Encoding.Latin1.GetBytes(word))];
                Judge(Encoding.Latin1.GetString(await _redis.Runner.RunAsync(_random.Next(2), words, limit: null, client.Session.User)));
                break;
            default:
                if (!mayWait) Judge(Send(client, request));
                break;
        }
    }

    /// <summary>The request in a script, which declares its keys or does not.</summary>
    private string[] InScript(string[] request)
    {
        string script = _random.Next(2) == 0 ? "return redis.call(unpack(ARGV))" : "local r = redis.pcall(unpack(ARGV)) return r.err and r or {r}";
        return _random.Next(3) == 0 ? ["EVAL", script, "1", Pick(_keys), .. request] : ["EVAL", script, "0", .. request];
    }

    private string[] Some() => _random.Next(2) == 0 ? Sensible() : Soup();

    /// <summary>A command that makes sense, but for the names in it.</summary>
    private string[] Sensible()
    {
        bool isTricky = _random.Next(4) == 0;
        CommandPattern pattern = isTricky ? Pick(s_tricky) : Pick(Family.All).Pick(_random);
        string[] request = [.. pattern.Generate(new(_random, DateTimeOffset.UnixEpoch)).Select(word => Encoding.Latin1.GetString(word.Bytes))];
        for (int i = 1; i < request.Length; i++)
        {
            if (s_names.Contains(request[i])) request[i] = Pick(isTricky ? s_trickyNames : _keys);
            else if (!isTricky && _random.Next(20) == 0) request[i] = Pick(s_keywords);
        }
        return request;
    }

    /// <summary>A command of any name, with words that mean something to it in any order.</summary>
    private string[] Soup()
    {
        CommandInfo command = Pick(_commands);
        var request = new List<string>(command.Name.Split('|'));
        int count = Math.Abs(command.Arity) + (command.Arity > 0 && _random.Next(5) != 0 ? 0 : _random.Next(7));
        while (request.Count < count)
        {
            int kind = _random.Next(10);
            request.Add(kind < 5 ? Pick(_keys) : kind < 8 && _words[command].Length > 0 ? Pick(_words[command]) : Pick(s_values));
        }
        // Where a number of keys belongs, mostly put one that may be right.
        foreach (KeySpecification keys in command.Keys)
        {
            if (keys.Find == KeyFind.KeyCount && keys.First < request.Count && _random.Next(4) != 0) request[keys.First] = Pick("1", "2", "3");
        }
        return [.. request];
    }

    private string[] Spoilt(string[] request)
    {
        if (_random.Next(4) == 0) request[0] = string.Concat(request[0].Select(c => _random.Next(2) == 0 ? char.ToUpperInvariant(c) : c));
        if (request.Length > 1 && _random.Next(20) == 0) request[0] = string.Join('|', request[..2]);
        return request;
    }

    private string Send(EngineClient client, string[] request)
    {
        Tell(request);
        return client.Raw(request);
    }

    private void Tell(string[] request)
    {
        _story.Enqueue(string.Join(' ', request));
        if (_story.Count > 8) _story.Dequeue();
    }

    /// <summary>Checks what the requests so far have led to.</summary>
    private void Judge(string reply)
    {
        Assert.False(reply.Contains(Marker, StringComparison.Ordinal), $"The reply\n{reply}\ntells a secret, after\n{Story()}");
        Assert.False(reply.Contains("internal error", StringComparison.Ordinal), $"The reply is\n{reply}\nafter\n{Story()}");
        if (_redis.TakeEffects().Length == 0) return;
        string now = Protected();
        Assert.True(now == _protected, $"What may not be changed has been, by one of\n{Story()}");
    }

    private string Story() => string.Join('\n', _story);

    /// <summary>Everything that is in the keys that the user may not write.</summary>
    private string Protected()
    {
        var text = new StringBuilder();
        EngineClient own = _redis.NewClient();
        for (int database = 0; database < 2; database++)
        {
            own.Session.Database = database;
            foreach (string name in (string[])["read", "secret"])
            {
                foreach (string type in s_types) Add($"{name}:{type}");
            }
            foreach (string key in s_neighbours) Add(key);
        }
        return text.ToString();

        void Add(string key) => text.Append(own.Raw("DUMP", key)).Append(own.Raw("PTTL", key));
    }

    private void Fill(string name, string content)
    {
        _redis.Run("SET", $"{name}:string", content);
        _redis.Run("RPUSH", $"{name}:list", "3", "1", content + "a", content + "b", "2");
        _redis.Run("SADD", $"{name}:set", content + "a", content + "b", "m");
        _redis.Run("HSET", $"{name}:hash", "f", content, content + "f", "1");
        _redis.Run("ZADD", $"{name}:zset", "1", content + "a", "2", content + "b", "3", "m");
        _redis.Run("GEOADD", $"{name}:geo", "1", "1", content + "a", "2", "2", "m", "3", "3", "1");
        _redis.Run("XADD", $"{name}:stream", "1-1", "f", content);
        _redis.Run("XADD", $"{name}:stream", "2-1", content, "f");
        // Reading in a group changes a stream, and claiming reads it; in Redis, the right to do the one is enough for the other.
        if (name is "mine" or "secret") _redis.Run("XGROUP", "CREATE", $"{name}:stream", "g", "0");
        if (name is "mine" or "secret") _redis.Run("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", $"{name}:stream", ">");
        _redis.Run("PFADD", $"{name}:hll", content, "m");
        _redis.Run("PFCOUNT", $"{name}:hll"); // which keeps the number in it
    }

    private T Pick<T>(params IReadOnlyList<T> from) => from[_random.Next(from.Count)];
}
