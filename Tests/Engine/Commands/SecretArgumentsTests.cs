using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>What SLOWLOG and MONITOR must not show is declared, by the commands and by the directives that take it.</summary>
public sealed class SecretArgumentsTests
{
    private static readonly CommandTable s_commands = new(typeof(Store).Assembly, typeof(RedisServer).Assembly);

    [Fact]
    public void Every_command_that_takes_a_password_says_which_arguments_are_secret() =>
        Assert.All(
            s_commands.Commands.SelectMany(command => command.Subcommands?.Values.Append(command) ?? [command])
                .Where(command => command.Declaration?.Syntax.Contains("password", StringComparison.OrdinalIgnoreCase) == true),
            command => Assert.True(command.Secrets is not null, command.Name));

    [Fact]
    public void Every_directive_that_is_a_password_is_a_secret() =>
        Assert.All(
            Directive.All.Where(directive => IsPassword(directive.Name)), directive => Assert.True(directive.Declaration.Sensitive, directive.Name));

    private static bool IsPassword(string name) =>
        name.EndsWith("pass", StringComparison.Ordinal) || name.EndsWith("-connection-string", StringComparison.Ordinal)
        || name is "masterauth" or "masteruser" or "user";

    [Theory]
    [InlineData("AUTH x", "1")]
    [InlineData("auth x y", "1 2")]
    [InlineData("HELLO 3 AUTH x y SETNAME z", "3 4")]
    [InlineData("HELLO 3 SETNAME z AUTH x", "5")]
    [InlineData("ACL SETUSER alice on >x ~*", "2 3 4 5")]
    [InlineData("CONFIG SET requirepass x timeout 1 masterauth y", "3 7")]
    [InlineData("CONFIG SET timeout requirepass", "")]
    [InlineData("CONFIG SET timeout requirepass x", "4")]
    [InlineData("CONFIG SET timeout 1 requirepas x", "5")]
    [InlineData("SET AUTH x", "")]
    public void Exactly_the_secrets_are_covered(string line, string positions)
    {
        OwnedRequest request = OwnedRequest.Of([.. line.Split(' ').Select(word => (ReadOnlyMemory<byte>)Encoding.ASCII.GetBytes(word))]);
        CommandInfo command = s_commands.Resolve(request.Request)!;
        var covered = new List<int>();
        for (int i = 0; i < request.Count; i++)
        {
            if (SecretArguments.Covers(command, request.Request, i)) covered.Add(i);
        }
        Assert.Equal(positions, string.Join(' ', covered));
    }
}
