using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;
using Request = OrleansRedis.Engine.Request;

namespace OrleansRedis.Tests.Acl;

/// <summary>How rules are read and printed.</summary>
public sealed class AclRulesTests : IDisposable
{
    private readonly EngineHarness _redis = new();

    public void Dispose() => _redis.Dispose();

    [Theory]
    // Each line adds to the rules of those before it, as in Redis's own test of the same.
    [InlineData("+@all -@hash -@slow +hget", "+@all -@hash -@slow +hget", "-@hash", "+@all -@slow +hget -@hash", "+@hash", "+@all -@slow +hget +@hash")]
    [InlineData("+@all -@hash", "+@all -@hash", "-@all", "-@all")]
    [InlineData("-@all +@HASH +@hash +@HaSh", "-@all +@hash")]
    [InlineData("-@all +HGET +hget +hGeT", "-@all +hget")]
    [InlineData("-@all +@hash +@slow +@set +@set +@slow +@hash", "-@all +@set +@slow +@hash")]
    [InlineData("-@all +hget -hset +hset -hget", "-@all +hset -hget")]
    [InlineData("-@all +object|freq +object|freq +config|get +config +acl|list -acl", "-@all +object|freq +config -acl")]
    [InlineData("-@all +select|0 +select|0 +save|now +save", "-@all +select|0 +save")]
    [InlineData("-@all -@dangerous", "-@all -@dangerous")]
    [InlineData("-@all +config +config|get -config|set +config", "-@all +config")]
    public void Rules_about_commands_keep_their_order_and_replace_those_before_them(params string[] rulesAndResults)
    {
        for (int i = 0; i < rulesAndResults.Length; i += 2)
        {
            Set("user", rulesAndResults[i].Split(' '));
            Assert.Equal(rulesAndResults[i + 1], Rules("user").Selectors[0].DescribeCommands());
        }
    }

    [Theory]
    [InlineData("off sanitize-payload resetchannels -@all")]
    [InlineData("on nopass sanitize-payload ~* &* +@all", "on", "nopass", "allkeys", "allchannels", "allcommands")]
    [InlineData("off skip-sanitize-payload %R~foo %W~bar ~baz resetchannels &a &b -@all +get", "skip-sanitize-payload", "+get", "&a", "&b", "&a", "%r~foo",
        "%W~bar", "%rw~baz")]
    [InlineData("off sanitize-payload ~foo resetchannels -@all", "%R~foo", "%W~foo")]
    [InlineData("off sanitize-payload ~* resetchannels -@all", "~foo", "~*")]
    [InlineData("off sanitize-payload resetchannels -@all (~key1 resetchannels -@all +get) (%R~b ~c &* -@all)", "(~key1 +get )", "(", "%R~b", "~c",
        "allchannels)")]
    [InlineData("off sanitize-payload resetchannels -@all", "(~a)", "on", ">x", "reset")]
    [InlineData("off sanitize-payload resetchannels -@all", "(~a)", "clearselectors", "")]
    [InlineData("off sanitize-payload #2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 resetchannels -@all", "nopass", ">x", ">x")]
    [InlineData("off sanitize-payload resetchannels -@all", ">x", "<x")]
    [InlineData("off sanitize-payload resetchannels -@all", "#2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        "!2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")]
    public void Rules_are_printed_in_one_form(string printed, params string[] rules)
    {
        Set("user", rules);
        Assert.Equal(printed, Rules("user").Describe());
    }

    [Theory]
    [InlineData("bogus", "'bogus': Syntax error")]
    [InlineData("+nothing", "'+nothing': Unknown command or category name in ACL")]
    [InlineData("+cluster|nothing", "'+cluster|nothing': Unknown command or category name in ACL")]
    [InlineData("-@nothing", "'-@nothing': Unknown command or category name in ACL")]
    [InlineData("-select|0", "'-select|0': Unknown command or category name in ACL")]
    [InlineData("+config|get|dir", "'+config|get|dir': Allowing first-arg of a subcommand is not supported")]
    [InlineData("+select|", "'+select|': Syntax error")]
    [InlineData("%~a", "'%~a': Syntax error")]
    [InlineData("%RR~a", "'%RR~a': Syntax error")]
    [InlineData("%", "'%': Syntax error")] // CVE-2024-31227, CVE-2024-51741
    [InlineData("%~", "'%~': Syntax error")]
    [InlineData("~a\tb", "'~a\tb': Syntax error")]
    [InlineData("&a\0b", "'&a\0b': Syntax error")]
    [InlineData("<x", "'<x': The password you are trying to remove from the user does not exist")]
    [InlineData("#12", "'#12': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")]
    [InlineData("(&* &a)", "'(&* &a)': Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. "
        + "Try 'resetchannels' to start with an empty list of channels")]
    [InlineData("(on)", "'(on)': Syntax error")]
    public void A_rule_that_makes_no_sense_changes_nothing(string rule, string error)
    {
        Assert.Equal("Error in ACL SETUSER modifier " + error, _redis.Store.Acl.Set("user", ["on", rule], by: null));
        Assert.Null(_redis.Store.Acl.Find("user"u8));
    }

    [Fact]
    public void A_parenthesis_must_be_closed() =>
        Assert.Equal("Unmatched parenthesis in acl selector starting at '(~a'.", _redis.Store.Acl.Set("user", ["(~a", "+get"], by: null));

    [Fact]
    public void Keys_after_all_keys_are_refused_as_they_would_mean_nothing() =>
        Assert.StartsWith("Error in ACL SETUSER modifier '~a': Adding a pattern after the * pattern (or the 'allkeys' flag)",
            _redis.Store.Acl.Set("user", ["~*", "~a"], by: null), StringComparison.Ordinal);

    [Fact]
    public void A_rule_may_be_about_any_command_of_redis()
    {
        var log = new List<string>();
        _redis.Store.Log.Writer = (_, line) => log.Add(line);
        foreach (string name in RedisCommands.Lines().Select(line => line.Split(' ')[1]))
        {
            log.Clear();
            Set("user", "reset", "+" + name, $"(-{name.ToUpperInvariant()})");
            Assert.Equal("-@all +" + name, Rules("user").Selectors[0].DescribeCommands());
            Assert.Equal("-@all -" + name, Rules("user").Selectors[1].DescribeCommands());
            bool isHere = EngineHarness.Commands.FindDeclared(Encoding.Latin1.GetBytes(name)) is not null;
            Assert.Equal(isHere ? 0 : 2, log.Count(line => line.EndsWith("has no effect: this server does not have the command.", StringComparison.Ordinal)));
        }
    }

    [Fact]
    public void A_category_alone_is_printed_as_it_is()
    {
        foreach (string category in ((object?[])_redis.Run("ACL", "CAT")!).Cast<string>())
        {
            Set("less", "reset", "+@all", "-@" + category);
            Assert.Equal("+@all -@" + category, Rules("less").Selectors[0].DescribeCommands());
            Set("more", "reset", "+@" + category);
            Assert.Equal("-@all +@" + category, Rules("more").Selectors[0].DescribeCommands());
        }
    }

    [Fact]
    public void What_a_new_user_may_do_with_channels_is_the_directives_business()
    {
        _redis.Store.Options.AclPubSubDefault = AclPubSubDefault.Allchannels;
        Set("user", "(+get)");
        Assert.Equal("off sanitize-payload &* -@all (&* -@all +get)", Rules("user").Describe());
        _redis.Store.Options.AclPubSubDefault = AclPubSubDefault.Resetchannels;
        Set("user", "on");
        Assert.Equal("on sanitize-payload &* -@all (&* -@all +get)", Rules("user").Describe());
        Set("user", "reset");
        Assert.Equal("off sanitize-payload resetchannels -@all", Rules("user").Describe());
    }

    [Fact]
    public void Printed_rules_give_the_same_rules()
    {
        Random random = TestSeed.Random();
        CommandInfo[] commands = AllCommands();
        var generator = new AclRuleGenerator(random, commands);
        for (int round = 0; round < 300; round++)
        {
            Set("user", "reset");
            // What makes no sense is refused as a whole; the rest remains.
            for (int i = 0; i < 4; i++) _redis.Store.Acl.Set("user", generator.Rules(), by: null);
            string printed = Rules("user").Describe();
            Assert.Null(_redis.Store.Acl.Set("copy", ["reset", .. printed.Split(' ')], by: null));
            Assert.Equal(printed, Rules("copy").Describe());
            Assert.Equal(Rules("user").AllowEverything, Rules("copy").AllowEverything);
            for (int i = 0; i < 50; i++)
            {
                string[] words = generator.RandomRequest();
                Request request = AclRuleGenerator.Owned(words).Request;
                CommandInfo command = EngineHarness.Commands.Resolve(request)!;
                Assert.Equal(Rules("user").Check(command, request), Rules("copy").Check(command, request));
            }
        }
    }

    [Fact]
    public void Whatever_is_given_as_a_rule_is_a_rule_or_an_error()
    {
        Random random = TestSeed.Random();
        const string letters = "+-~&%@|()<>#! *\"'\\\0\n\xffRWgetconfig";
        for (int i = 0; i < 20_000; i++)
        {
            string rule = string.Concat(Enumerable.Range(0, random.Next(1, 12)).Select(_ => letters[random.Next(letters.Length)]));
            if (_redis.Store.Acl.Set("user", [rule], by: null) is not null) continue;
            string printed = Rules("user").Describe();
            Assert.Null(_redis.Store.Acl.Set("copy", ["reset", .. printed.Split(' ')], by: null));
            Assert.Equal(printed, Rules("copy").Describe());
            if (i % 8 == 0) Set("user", "reset");
        }
    }

    [Theory]
    [InlineData("~a\"b")]
    [InlineData("~'")]
    [InlineData("~a)")]
    [InlineData("~a\\x41")]
    [InlineData("&\xff\"")]
    [InlineData("+select|\"")]
    public void Quotes_and_parentheses_survive_in_a_selector_and_in_both_kinds_of_file(string rule)
    {
        string quoted = QuotedWords.Quote(ByteText.Decode(Encoding.Latin1.GetBytes(rule)));
        Set("user", rule, $"({quoted} +get)");
        string printed = Rules("user").Describe();
        Set("copy", ["reset", .. printed.Split(' ')]);
        Assert.Equal(printed, Rules("copy").Describe());

        DirectoryInfo directory = Directory.CreateTempSubdirectory("orleansredis-test-");
        try
        {
            string path = Path.Combine(directory.FullName, "redis.conf");
            File.WriteAllLines(path, new UserLinesKind().Lines(_redis.Store.Acl.ToLines()).Select(line => "user " + line));
            using ServerConfiguration configuration = ServerConfiguration.Load([path]);
            using var fromConfiguration = new EngineHarness(configuration);
            fromConfiguration.Store.Acl.LoadAtStart();
            Assert.Equal(printed, fromConfiguration.Store.Acl.Find("user"u8)!.Rules.Describe());

            fromConfiguration.Store.Options.Users = DirectiveLines.None;
            fromConfiguration.Store.Options.AclFile = Path.Combine(directory.FullName, "users.acl");
            Assert.True(fromConfiguration.Store.Acl.Save());
            Assert.Null(fromConfiguration.Store.Acl.Set("user", ["reset"], by: null));
            fromConfiguration.Store.Acl.LoadAtStart();
            Assert.Equal(printed, fromConfiguration.Store.Acl.Find("user"u8)!.Rules.Describe());
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static CommandInfo[] AllCommands() =>
    [
        .. EngineHarness.Commands.Commands.SelectMany(command => command.Subcommands?.Values.Append(command) ?? [command])
            .Where(command => command.Method is not null),
    ];

    private void Set(string user, params string[] rules) => Assert.Null(_redis.Store.Acl.Set(user, rules, by: null));

    private AclRules Rules(string user) => _redis.Store.Acl.Find(Encoding.Latin1.GetBytes(user))!.Rules;
}
