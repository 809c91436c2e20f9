using System.Text;

namespace OrleansRedis.Engine;

/// <summary>The replies to the HELP subcommands of containers.</summary>
public static class HelpText
{
    /// <summary>Replies with the first line, the subcommands' lines as given, and HELP itself.</summary>
    public static void Reply(ref CommandContext call, string subcommands)
    {
        string container = call.Command.Name[..call.Command.Name.IndexOf('|')].ToUpperInvariant();
        string[] lines =
        [
            $"{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            .. subcommands.ReplaceLineEndings("\n").Split('\n'),
            "HELP",
            "    Print this help.",
        ];
        call.Reply.Array(lines.Length);
        foreach (string line in lines) call.Reply.SimpleString(Encoding.ASCII.GetBytes(line));
    }
}
