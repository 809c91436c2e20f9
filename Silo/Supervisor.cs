using System.Diagnostics.CodeAnalysis;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>
/// supervised: whoever has started the server is told when it is ready. systemd is told through the socket that
/// NOTIFY_SOCKET names (sd_notify(3)); upstart expects the process to stop itself once.
/// </summary>
internal sealed partial class Supervisor
{
    private const int Stop = 19; // SIGSTOP

    private readonly ServerOptions _options;
    private readonly ServerLog _log;
    private readonly string? _socket;

    /// <param name="options">The directives.</param>
    /// <param name="log">What the operator is told.</param>
    /// <param name="socket">NOTIFY_SOCKET in the environment: where systemd listens.</param>
    /// <param name="job">UPSTART_JOB in the environment.</param>
    public Supervisor(ServerOptions options, ServerLog log, string? socket, string? job)
    {
        _options = options;
        _log = log;
        Supervision by = options.Supervised;
        if (by == Supervision.Auto) by = job is not null ? Supervision.Upstart : socket is not null ? Supervision.Systemd : Supervision.No;
        if (by == Supervision.Upstart && job is null)
        {
            log.Warning("Upstart supervision requested, but UPSTART_JOB not found!");
            by = Supervision.No;
        }
        if (by == Supervision.Systemd && string.IsNullOrEmpty(socket))
        {
            log.Warning("systemd supervision requested, but NOTIFY_SOCKET not found!");
            by = Supervision.No;
        }
        _socket = by == Supervision.Systemd ? socket : null;
        options.SupervisedBy = by;
    }

    /// <summary>The server begins to start.</summary>
    public void Starting()
    {
        if (_options.SupervisedBy == Supervision.Upstart)
        {
            _log.Notice("Supervised by upstart, will stop to signal readiness.");
            Environment.SetEnvironmentVariable("UPSTART_JOB", null);
            _ = Raise(Stop);
        }
        else if (_options.SupervisedBy == Supervision.Systemd && TryNotify("STATUS=Redis is loading...\n"))
        {
            _log.Notice("Supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and TimeoutStopSec in your service unit.");
        }
    }

    /// <summary>The server is ready.</summary>
    public void Ready()
    {
        if (_options.SupervisedBy == Supervision.Systemd) TryNotify("STATUS=Ready to accept connections\nREADY=1\n");
    }

    /// <summary>The server begins to end.</summary>
    public void Stopping()
    {
        if (_options.SupervisedBy == Supervision.Systemd) TryNotify("STOPPING=1\n");
    }

    private bool TryNotify(string message)
    {
        if (!TryReadPath(_socket, out string? path))
        {
            _log.Warning($"NOTIFY_SOCKET is '{_socket}', which is no path of a socket.");
            return false;
        }
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            socket.SendTo(System.Text.Encoding.UTF8.GetBytes(message), new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException failure)
        {
            _log.Warning($"Can't send to systemd: {failure.Message}");
            return false;
        }
    }

    /// <summary>A path, or with "@" in front a name that is in no file system.</summary>
    private static bool TryReadPath(string? value, [NotNullWhen(true)] out string? path)
    {
        path = value is ['@', _, ..] ? string.Concat("\0", value.AsSpan(1)) : value;
        return value is ['@' or '/', _, ..];
    }

    [LibraryImport("libc", EntryPoint = "raise")]
    private static partial int Raise(int signal);
}
