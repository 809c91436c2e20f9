using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>deploy/redis.conf is the operators' reference, so what it says must be true.</summary>
public sealed class ShippedConfigurationTests
{
    private static readonly string s_path = Path.Combine(RedisProcess.RepositoryRoot, "deploy", "redis.conf");

    [Fact]
    public void Every_directive_stands_there_with_its_default()
    {
        string[] named = [.. File.ReadLines(s_path).Where(line => line.Length > 0 && line[0] != '#').Select(line => line.Split(' ')[0]).Distinct()];
        IEnumerable<Directive> documented = Directive.All.Where(
            directive => directive.Declaration is { Hidden: false, IsFileOnly: false } && directive.WhyNoEffect is null);
        Assert.Equal(documented.Select(directive => directive.Name).Order(), named.Order());

        ServerOptions options = ServerConfiguration.Load([s_path]).Options;
        Assert.All(Directive.All,
            directive => Assert.True(directive.IsDefault(options), $"{directive.Name} is {directive.Kind.Format(directive.Get(options))}"));
    }
}
