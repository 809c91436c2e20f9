using System.Diagnostics;

namespace OrleansRedis.Tests.Persistence;

/// <summary>Debian's redis-check-rdb.</summary>
internal static class RedisCheckRdb
{
    /// <summary>Checks a file and returns the exit code and the output.</summary>
    public static (int ExitCode, string Output) Run(string path) => RunProgram("redis-check-rdb", path);

    /// <summary>Runs a program and returns the exit code and the output.</summary>
    public static (int ExitCode, string Output) RunProgram(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }
}
