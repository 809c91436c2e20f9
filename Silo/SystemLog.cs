using System.Globalization;
using System.Net.Sockets;
using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Silo;

/// <summary>
/// syslog-enabled: messages for the system's log, as RFC 3164 writes them, through the socket at which the log's daemon
/// listens. If there is none, they are dropped: the server's own log has them.
/// </summary>
internal sealed class SystemLog(ServerOptions options, string path = SystemLog.UsualPath) : IDisposable
{
    public const string UsualPath = "/dev/log";

    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);

    /// <summary>Writes a message of this severity: 7 is the least, 4 a warning.</summary>
    public void Write(int severity, string message)
    {
        int priority = ((int)options.SyslogFacility * 8) + severity;
        string time = DateTime.Now.ToString("MMM d HH:mm:ss", CultureInfo.InvariantCulture);
        try
        {
            string line = $"<{priority}>{time} {options.SyslogIdent}[{Environment.ProcessId}]: {message}";
            _socket.SendTo(Encoding.UTF8.GetBytes(line), new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException)
        {
            // Nobody listens there now. The next message tries again.
        }
    }

    public void Dispose() => _socket.Dispose();
}
