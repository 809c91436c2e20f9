using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>Any redis.conf of Redis 7 starts this server, and CONFIG GET knows every directive of Redis 7.4.</summary>
public sealed class RedisDirectivesTests
{
    private const string Heading = "## Directives without effect\n", NextHeading = "## Commands\n";
    private static readonly string s_folder = Path.Combine(RedisProcess.RepositoryRoot, "Tests", "Engine", "Configuration");
    private static readonly string s_page = Path.Combine(RedisProcess.RepositoryRoot, "docs", "compatibility.md");

    /// <summary>Directives whose default is another one here, by design, and those whose default depends on where the server runs.</summary>
    private static readonly string[] s_otherDefault = ["io-threads", "dir", "cluster-node-timeout"];

    /// <summary>Name and default of every directive of Redis 7.4, the hidden ones and other names included.</summary>
    private static readonly (string Name, string Value)[] s_all =
    [
        .. File.ReadAllLines(Path.Combine(s_folder, "redis-7.4-directives.txt")).Select(line => line.Split(' ', 2))
            .Select(words => (words[0], words.ElementAtOrDefault(1) ?? "")),
    ];

    /// <summary>What the redis.conf files that come with Redis 7.0, 7.2 and 7.4 say beside their comments.</summary>
    private static readonly string[] s_stock = File.ReadAllLines(Path.Combine(s_folder, "redis-stock-directives.txt"));

    [Fact]
    public void Every_directive_of_redis_has_redis_s_default()
    {
        var options = new ServerOptions();
        var differences = new List<string>();
        foreach ((string name, string value) in s_all.Where(directive => !s_otherDefault.Contains(directive.Name)))
        {
            string? ours = Directive.TryFind(name, out Directive? directive) ? directive.Kind.Format(directive.Get(options)) : null;
            if (ours != value) differences.Add($"{name}: '{value}' in Redis, '{ours ?? "unknown"}' here");
        }
        Assert.Empty(differences);
    }

    [Fact]
    public void A_file_with_every_directive_is_read_and_written_again()
    {
        string path = Path.GetTempFileName();
        try
        {
            string[] others = ["dir", "replicaof", "slaveof", "io-threads", "cluster-node-timeout"];
            File.WriteAllLines(path, s_all.Where(directive => !others.Contains(directive.Name))
                .Select(directive => $"{directive.Name} {Quote(directive.Name, directive.Value)}"));
            using ServerConfiguration configuration = ServerConfiguration.Load([path]);
            Assert.All(Directive.All, directive => Assert.True(directive.IsDefault(configuration.Options), directive.Name));
            Assert.Null(configuration.Rewrite(everything: true));
            using ServerConfiguration again = ServerConfiguration.Load([path]);
            Assert.All(Directive.All.Where(directive => directive.Name != "dir"), directive => Assert.True(directive.IsDefault(again.Options), directive.Name));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void The_files_that_come_with_redis_are_read_and_what_has_no_effect_is_named()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllLines(path, s_stock);
            using ServerConfiguration configuration = ServerConfiguration.Load([path]);
            Assert.Equal(["127.0.0.1", "-::1"], configuration.Options.Bind);
            Assert.Equal("/var/run/redis_6379.pid", configuration.Options.PidFile);
            string told = configuration.DescribeWithoutEffect()!;
            Assert.StartsWith("has no effect here: activerehashing, ", told, StringComparison.Ordinal);
            Assert.All(s_stock.Select(line => line.Split(' ')[0]).Distinct(), name => Assert.Equal(
                Directive.TryFind(name, out Directive? directive) && directive.WhyNoEffect is not null,
                told.Contains($" {name}", StringComparison.Ordinal)));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("replicaof 127.0.0.1 6379", "not possible here: redis-server's replicas cannot follow")]
    [InlineData("slaveof 127.0.0.1 6379", "not possible here: ")]
    [InlineData("replicaof 127.0.0.1 abc", "Invalid master port")]
    [InlineData("replicaof 127.0.0.1", "wrong number of arguments")]
    [InlineData("loadmodule /usr/lib/redis/modules/x.so", "loadmodule: not possible here: modules are libraries for redis-server")]
    [InlineData("repl-diskless-load sometimes", "argument(s) must be one of the following: disabled, on-empty-db, swapdb")]
    [InlineData("lazyfree-lazy-expire maybe", "argument must be 'yes' or 'no'")]
    [InlineData("proc-title-template \"{title} {nosuch}\"", "template format is invalid or contains unknown variables")]
    [InlineData("oom-score-adj-values 1 2", "wrong number of arguments")]
    [InlineData("oom-score-adj-values 1 2 2001", "Invalid oom-score-adj-values, elements must be between -2000 and 2000.")]
    public void What_it_would_be_dangerous_to_ignore_is_refused(string line, string reason)
    {
        string message = Assert.Throws<ConfigurationException>(() => Load(line)).Message;
        Assert.Contains($">>> '{line}'\n{reason}", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("replicaof no one")]
    [InlineData("list-max-ziplist-entries 512")]
    [InlineData("lua-replicate-commands yes")]
    [InlineData("cluster-enabled no")]
    [InlineData("slave-serve-stale-data no")]
    public void What_does_no_harm_is_accepted(string line) => Load(line).Dispose();

    [Fact]
    public void A_directive_without_effect_is_set_and_shown_like_any_other()
    {
        using var redis = new EngineHarness();
        Assert.Equal("[repl-timeout, 60]", redis.Show("CONFIG GET repl-timeout"));
        var lines = new List<string>();
        redis.Store.Log.Writer = (_, line) => lines.Add(line);
        Assert.Equal("OK", redis.Show("CONFIG SET repl-timeout 61 slave-priority 7"));
        Assert.Equal("OK", redis.Show("CONFIG SET repl-timeout 61 timeout 5"));
        Assert.Equal(["has no effect here: repl-timeout, replica-priority (docs/compatibility.md says why)"], lines); // once
        Assert.Equal("[repl-timeout, 61, replica-priority, 7]", redis.Show("CONFIG GET repl-timeout replica-priority"));
        Assert.Equal("-ERR CONFIG SET failed (possibly related to argument 'repl-timeout') - argument must be between 1 and 9223372036854775807 inclusive",
            redis.Show("CONFIG SET repl-timeout 0"));
        Assert.Equal("-ERR CONFIG SET failed (possibly related to argument 'cluster-enabled') - can't set immutable config",
            redis.Show("CONFIG SET cluster-enabled yes"));
    }

    [Fact]
    public void The_page_says_why_each_has_none()
    {
        string page = File.ReadAllText(s_page);
        int begin = page.IndexOf(Heading, StringComparison.Ordinal), end = page.IndexOf(NextHeading, StringComparison.Ordinal);
        string text = page[..begin] + Write() + page[end..];
        if (Environment.GetEnvironmentVariable("UPDATE_COMPATIBILITY") == "1") File.WriteAllText(s_page, text);
        Assert.True(File.ReadAllText(s_page) == text, "docs/compatibility.md is stale: run this test with UPDATE_COMPATIBILITY=1.");
    }

    private static string Write()
    {
        var text = new StringBuilder(Heading);
        text.Append("\nA redis.conf of Redis 7.0, 7.2 or 7.4 starts this server. These directives are accepted, and CONFIG GET shows them, but they change "
            + "nothing; the log names those that were given. Of some, marked with a star, only the default is accepted, since it would be dangerous to "
            + "ignore another value; `loadmodule` is refused altogether. (This table is made from the code: see `RedisDirectivesTests`.)\n\n"
            + "| directive | why |\n| --- | --- |\n");
        foreach (IGrouping<string, Directive> reason in Directive.All.Where(directive => directive.WhyNoEffect is not null && !directive.Declaration.Hidden)
            .GroupBy(directive => directive.WhyNoEffect!))
            text.Append($"| {string.Join(", ", reason.Select(directive => $"`{directive.Name}`{(directive.IsRefused ? "\\*" : "")}"))} | {reason.Key} |\n");
        return text.Append('\n').ToString();
    }

    private static ServerConfiguration Load(string line)
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, line + "\n");
            return ServerConfiguration.Load([path]);
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>A value as a file has it: several words, or one in quotes.</summary>
    private static string Quote(string name, string value) =>
        value.Length > 0 && Directive.TryFind(name, out Directive? directive) && directive.Kind.TakesSeveralWords ? value : $"\"{value}\"";
}
