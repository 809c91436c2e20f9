using System.Diagnostics;
using System.Text;

namespace OrleansRedis.Tests.Harness;

/// <summary>
/// A client program by others (redis-cli, node, python …), run with a deadline. Its output is kept, and it is killed
/// when disposed.
/// </summary>
public sealed class ClientProgram : IAsyncDisposable
{
    private readonly Process process;
    private readonly StringBuilder output = new();
    private readonly TaskCompletionSource[] ends = [new(), new()];

    private ClientProgram(string program, IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(program)
        {
            WorkingDirectory = RedisProcess.RepositoryRoot,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = Encoding.Latin1,
            StandardOutputEncoding = Encoding.Latin1,
        };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment["TERM"] = "xterm";
        process = new Process { StartInfo = start };
    }

    public int ProcessId => process.Id;

    /// <summary>Whether the program has ended, and <see cref="Output"/> is all that it has written.</summary>
    public bool HasEnded => ends.All(end => end.Task.IsCompleted);

    /// <summary>Standard output and standard error so far, as Latin-1.</summary>
    public string Output
    {
        get
        {
            lock (output)
                return output.ToString();
        }
    }

    public static ClientProgram Start(string program, params string[] arguments)
    {
        ClientProgram client = new(program, arguments);
        try
        {
            client.process.Start();
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new InvalidOperationException($"{program} cannot be started ({e.Message}); ./test installs what the tests need", e);
        }

        _ = client.CopyAsync(client.process.StandardOutput, client.ends[0]);
        _ = client.CopyAsync(client.process.StandardError, client.ends[1]);
        return client;
    }

    /// <summary>
    /// Runs the program to its end and returns its output without the last newline. It must exit with code 0 within
    /// <see cref="Eventually.Deadline"/>.
    /// </summary>
    public static async Task<string> RunAsync(string program, params string[] arguments)
    {
        await using ClientProgram client = Start(program, arguments);
        client.CloseInput();
        int code = await client.WaitForExitAsync();
        return code == 0
            ? client.Output.TrimEnd('\n')
            : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} exited with {code}:\n{client.Output}");
    }

    public async Task WriteAsync(string latin1)
    {
        await process.StandardInput.WriteAsync(latin1);
        await process.StandardInput.FlushAsync();
    }

    public void CloseInput() => process.StandardInput.Close();

    /// <summary>Waits until the output contains the text.</summary>
    public Task ExpectAsync(string text, TimeSpan? timeout = null) => Eventually.TrueAsync(
        () => Output.Contains(text, StringComparison.Ordinal)
            || (process.HasExited ? throw new InvalidOperationException($"it ended without \"{text}\":\n{Output}") : false),
        () => $"no \"{text}\" in:\n{Output}",
        timeout ?? Eventually.Deadline);

    /// <summary>Waits for the end of the program and of its output, and returns its exit code.</summary>
    public async Task<int> WaitForExitAsync(TimeSpan? timeout = null)
    {
        using CancellationTokenSource deadline = new(timeout ?? Eventually.Deadline);
        try
        {
            await process.WaitForExitAsync(deadline.Token);
            await Task.WhenAll(ends.Select(end => end.Task)).WaitAsync(deadline.Token);
            return process.ExitCode;
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"{process.StartInfo.FileName} {string.Join(' ', process.StartInfo.ArgumentList)} does not end:\n{Output}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
        }

        process.Dispose();
    }

    private async Task CopyAsync(StreamReader from, TaskCompletionSource end)
    {
        char[] chunk = new char[4096];
        try
        {
            for (int read; (read = await from.ReadAsync(chunk)) > 0;)
            {
                lock (output)
                    output.Append(chunk, 0, read);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The program was killed.
        }

        end.TrySetResult();
    }
}
