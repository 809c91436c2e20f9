using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// What another silo must know of a client to run its requests as this one would: whose rights scripts have, in which
/// database, how replies are written, and who it is in SLOWLOG and MONITOR. It is told once, and when it has changed.
/// </summary>
/// <param name="Database">The database that SELECT chose.</param>
/// <param name="IsResp3">Whether the client speaks RESP3.</param>
/// <param name="NoTouch">CLIENT NO-TOUCH.</param>
/// <param name="IsUnrestricted">Whether its user may do everything, so that nobody need look for the user's rules.</param>
/// <param name="Tracking">How the client tracks what it reads; null if it does not.</param>
/// <param name="IsTold">With <see cref="TrackingModes.OptIn"/>: whether it is to be told of what this request reads.</param>
/// <param name="User">The user's name, as Latin-1.</param>
/// <param name="Name">CLIENT SETNAME.</param>
/// <param name="Address">The address of the client.</param>
/// <param name="MonitorName">How MONITOR names that.</param>
internal readonly record struct ClientIdentity(
    int Database, bool IsResp3, bool NoTouch, bool IsUnrestricted, TrackingModes? Tracking, bool IsTold, string User, string Name, string Address,
    string MonitorName)
{
    private const byte NoTracking = 255;

    public static ClientIdentity Read(ref MessageReader message) =>
        new(
            message.Int32(), message.Byte() != 0, message.Byte() != 0, message.Byte() != 0,
            message.Byte() is not NoTracking and var modes ? (TrackingModes)modes : null, message.Byte() != 0,
            message.Text(), message.Text(), message.Text(), message.Text());

    public void Write(MessageWriter message)
    {
        message.Int32(Database);
        message.Byte(IsResp3 ? (byte)1 : (byte)0);
        message.Byte(NoTouch ? (byte)1 : (byte)0);
        message.Byte(IsUnrestricted ? (byte)1 : (byte)0);
        message.Byte(Tracking is { } modes ? (byte)modes : NoTracking);
        message.Byte(IsTold ? (byte)1 : (byte)0);
        message.Text(User);
        message.Text(Name);
        message.Text(Address);
        message.Text(MonitorName);
    }
}
