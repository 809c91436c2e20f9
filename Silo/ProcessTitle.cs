using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>
/// set-proc-title: how the process shows in ps and the like. Linux shows the memory that the arguments of the command
/// line stood in at the start, so the title is written there. It cannot become longer than they were: what follows them
/// is the environment, which the C library still uses.
/// </summary>
internal sealed class ProcessTitle
{
    private const int StartField = 48; // of /proc/self/stat, counted from 1: arg_start, and after it arg_end

    private readonly ServerOptions _options;
    private readonly ServerConfiguration _configuration;
    private readonly string _program = "";
    private readonly nint _memory;
    private readonly int _length;

    public ProcessTitle(ServerConfiguration configuration)
    {
        _options = configuration.Options;
        _configuration = configuration;
        if (!OperatingSystem.IsLinux()) return;
        try
        {
            _program = FirstArgument();
            // The second field is the program's name in parentheses, and may itself contain blanks.
            string fields = File.ReadAllText("/proc/self/stat");
            string[] rest = fields[(fields.LastIndexOf(')') + 2)..].Split(' ');
            long start = long.Parse(rest[StartField - 3], CultureInfo.InvariantCulture), end = long.Parse(rest[StartField - 2], CultureInfo.InvariantCulture);
            if (start != 0 && end - start is > 1 and < 1 << 20) (_memory, _length) = ((nint)start, (int)(end - start));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or FormatException or IndexOutOfRangeException)
        {
            // Then it keeps its title.
        }
    }

    /// <summary>Sets the title, now and whenever the directives change.</summary>
    public void Follow()
    {
        if (!_options.SetProcTitle || _length == 0) return;
        _configuration.OnChange(["proc-title-template", "port", "bind"], () =>
        {
            Write();
            return new((string?)null);
        });
        Write();
    }

    /// <summary>The title that the template makes.</summary>
    internal static string Title(ServerOptions options, string program, string configFile)
    {
        string address = options.Port != 0 ? $"{(options.Bind.Count > 0 ? Shown(options.Bind[0]) : "*")}:{options.Port}" : options.UnixSocket;
        return options.ProcTitleTemplate
            .Replace("{title}", program, StringComparison.Ordinal)
            .Replace("{listen-addr}", address, StringComparison.Ordinal)
            .Replace("{server-mode}", options.ClusterEnabled ? "[cluster]" : "", StringComparison.Ordinal)
            .Replace("{port}", options.Port.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)
            .Replace("{tls-port}", "0", StringComparison.Ordinal)
            .Replace("{unixsocket}", options.UnixSocket, StringComparison.Ordinal)
            .Replace("{config-file}", configFile, StringComparison.Ordinal)
            .TrimEnd();
    }

    private static string Shown(string address) => address.Contains(':', StringComparison.Ordinal) ? $"[{address}]" : address;

    private static string FirstArgument()
    {
        string line = File.ReadAllText("/proc/self/cmdline");
        return line[..line.IndexOf('\0', StringComparison.Ordinal)];
    }

    private void Write()
    {
        byte[] title = Encoding.UTF8.GetBytes(Title(_options, _program, _configuration.FilePath ?? ""));
        for (int i = 0; i < _length; i++) Marshal.WriteByte(_memory, i, i < title.Length && i < _length - 1 ? title[i] : (byte)0);
    }
}
